"""What the jobs of these tests do: `main.py ACTION [ARGUMENT]`."""

import os
import sys
from pathlib import Path

action = sys.argv[1]
sys.stdout.write(f"action: {action}\n")

if action == "hello":
    from snowflake.snowpark.context import get_active_session

    session = get_active_session()
    session.sql("CREATE TABLE IF NOT EXISTS FROM_JOB (N INT)").collect()
    session.sql("INSERT INTO FROM_JOB SELECT 7").collect()
    Path(os.environ["MLRS_STAGE_MOUNT_PATH"], "written.txt").write_text("by the job")
    __return__ = {
        "greeting": os.environ["GREETING"],
        "cwd": Path.cwd().name,
        "service": os.environ["SNOWFLAKE_SERVICE_NAME"],
    }
elif action == "fail":
    raise ValueError("on purpose")
