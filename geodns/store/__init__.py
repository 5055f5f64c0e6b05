"""The database: schema, migrations, queries and the one write path. Sessions are opened by the caller and handed in."""
