"""What a check wants to find in a text: a literal part or a `/regexp/`."""

from __future__ import annotations

from geodns.model.patterns import Pattern


class BodyMatch:
    """A compiled `expect.body`."""

    def __init__(self, wanted: str) -> None:
        """Raises ValueError for a regexp that does not compile."""
        self._literal: str | None = wanted
        self._pattern: Pattern | None = None
        if len(wanted) >= 2 and wanted.startswith("/") and wanted.endswith("/"):
            try:
                self._pattern = Pattern(wanted[1:-1])
            except ValueError as error:
                raise ValueError(f"the regexp in expect.body cannot be used: {error}") from error

    def holds(self, text: bytes) -> bool:
        """Whether the text, read as UTF-8 with anything else replaced, holds what is wanted."""
        decoded = text.decode("utf-8", "replace")
        return self._pattern.is_in(decoded) if self._pattern else (self._literal or "") in decoded
