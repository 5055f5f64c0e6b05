"""All that geodns keeps in its database: zones and rrsets, their history, health, overrides, tokens.

Every query of the program lives here. A session is opened by the caller (`Database.read`, `Database.write`) and handed in; nothing
here opens one by itself but `changes.commit`. The store does not publish, does not check and does not know HTTP.
"""
