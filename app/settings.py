"""Settings: the environment is read here, once, and nowhere else in the app."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(BaseSettings):
    """Where things are and how the server listens. Each field is also `DARTBOARD_<FIELD>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="DARTBOARD_", frozen=True, extra="ignore")

    data: Path = Field(Path("data"), description="Folder that holds features.sqlite and study.sqlite.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    study_url: str | None = Field(
        None, description="SQLAlchemy URL of the study store; SQLite in the data folder where unset."
    )
    base_url: str | None = Field(
        None, description="Public address, e.g. https://rate.example.org; links use it, and https makes cookies Secure."
    )

    live: bool = Field(
        False, description="Start the worker that reads typed texts (`dartboard serve --live`); needs the pipeline."
    )

    llm_url: str | None = Field(
        None, description="OpenAI-compatible endpoint of `dartboard explain`, e.g. http://127.0.0.1:8080/v1."
    )
    llm_model: str | None = Field(None, description="The language model that is asked there.")
    llm_key: SecretStr | None = Field(None, description="Its key, where it wants one; never stored or shown.")

    @property
    def feature_path(self) -> Path:
        return self.data / "features.sqlite"

    @property
    def study_database_url(self) -> str:
        return self.study_url or f"sqlite:///{self.data / 'study.sqlite'}"

    @property
    def public_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.base_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def loopback_only(self) -> bool:
        """True where the server can be reached from this computer alone."""
        return self.host in LOOPBACK and self.base_url is None

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https://")
