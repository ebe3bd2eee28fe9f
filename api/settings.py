"""The settings: one class, each field described; environment variables start with TALLYSTICK_."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """How this process runs. What belongs to the network itself is in its folder, not here."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_", extra="ignore")

    data: Path = Field(
        default=Path("data"), description="Folder of the network: ledger, chain, service keys, member directory."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8440, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        default=None, description="Address by which members reach the service, if not host and port."
    )
    passphrase: SecretStr | None = Field(
        default=None, description="Passphrase of the service's key file; TALLYSTICK_PASSPHRASE_FILE is the safer way."
    )
    passphrase_file: Path | None = Field(
        default=None, description="File that holds the passphrase of the service's key file."
    )
    workers: int = Field(
        default=2, ge=0, le=64, description="Processes that examine statements; 0 examines in the server itself."
    )
    publish_interval_seconds: float = Field(
        default=0.25, gt=0, le=60, description="Pause between checkpoints, while there is something to anchor."
    )
    max_body_bytes: int = Field(default=32 << 20, ge=1 << 16, description="Largest request body.")
    max_batch_items: int = Field(default=5_000, ge=1, description="Most statements in one call.")
    max_backlog: int = Field(
        default=200_000, ge=1, description="Statements that may wait for the chain before calls get 503."
    )
    token_minutes: int = Field(default=15, ge=1, le=60, description="How long an access token lasts.")
    clock_tolerance_seconds: int = Field(
        default=300, ge=0, le=3600, description="How far a partner's clock may run ahead of ours."
    )
    stream_gap_after_seconds: int = Field(
        default=86_400, ge=1, description="Age at which a number left out of a stream becomes a finding."
    )
    confirmations: int = Field(
        default=0, ge=0, description="Blocks on top of an anchor before it is final; 0 suits QBFT."
    )
    custody_release_interval_seconds: int = Field(
        default=86_400, ge=0, description="Time between the cuts at which steps of custody are sent; 0: at once."
    )
    custody_release_spread_seconds: int = Field(
        default=604_800, ge=0, description="Time over which the cut of each step is drawn; 0: the next cut."
    )
    alert_review_interval_seconds: int = Field(
        default=3_600,
        ge=60,
        le=86_400,
        description="Pause between reviews of changed facts while a disruption runs, at fixed points of the clock.",
    )
    notice_keep_days: int = Field(
        default=730, ge=0, description="Age from which notices are deleted that no webhook still has to send; 0: never."
    )
    webhook_give_up_days: int = Field(
        default=5, ge=1, le=90, description="Days without any success after which a webhook is disabled."
    )
    webhook_allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="host:port of webhooks that may be private and without TLS, as a JSON list; for tests and demos.",
    )
