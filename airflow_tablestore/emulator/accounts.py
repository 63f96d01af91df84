"""Who may call the emulator: access key ids and their secrets.

There is one well-known account, so that a test needs no set-up; a wrong id or secret is refused as the services
refuse it. Security tokens (STS) are accepted with the account's own key: they are signed over, never checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEMO_ACCESS_KEY_ID = "demo-access-key-id"
DEMO_ACCESS_KEY_SECRET = "demo-access-key-secret"  # noqa: S105 - public on purpose, like any emulator's key
DEMO_INSTANCE = "demo"
DEMO_BUCKET = "backup"
DEMO_PROJECT = "demo"
REGION = "cn-hangzhou"
"""The region that the emulator says it is in; signatures for any region are accepted."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Access key ids and their secrets."""

    secrets: Mapping[str, str] = field(repr=False)

    def secret_of(self, access_key_id: str) -> str | None:
        """The secret of the key, or None when the key is not known."""
        return self.secrets.get(access_key_id)


def demo_accounts() -> Accounts:
    """The one account that every emulator has."""
    return Accounts({DEMO_ACCESS_KEY_ID: DEMO_ACCESS_KEY_SECRET})
