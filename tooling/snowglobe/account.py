"""The state of one embedded account: a visible folder with readable names."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from snowglobe.cortex import Scorer
from snowglobe.judge import Judge
from snowglobe.pools import Pools
from snowglobe.retention import Retention
from snowglobe.store import Store

NAME = "SNOWGLOBE"
REGION = "LOCAL"
BUILT_IN_ROLES = ("ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "SYSADMIN", "PUBLIC")
BUILT_IN_WAREHOUSE = "COMPUTE_WH"


@dataclass
class Account:
    directory: Path
    scorer: Scorer | None = None
    grace_seconds: float = 5.0
    host: str = "127.0.0.1"
    port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        catalog = self.directory / "catalog"
        self.stages = Store(catalog / "stages")
        self.roles = Store(catalog / "roles")
        self.warehouses = Store(catalog / "warehouses")
        self.grants = Store(catalog / "grants")
        self.users = Store(catalog / "users")
        self.policies = Store(catalog / "policies")
        self.objects = Store(catalog / "objects")
        self.secrets = Store(catalog / "secrets")
        self.experiments = Store(self.directory / "experiments")
        self.pools = Pools(Store(catalog / "pools"))
        self.judge = Judge(self.directory / "judge.json")
        self.retention = Retention(self.directory / "retention.json")
        for role in BUILT_IN_ROLES:
            self.roles.create((role,), {"comment": "built in"})
        self.warehouses.create((BUILT_IN_WAREHOUSE,), {"comment": "built in"})
