"""When jobs run: each period, at once after a commit, later and later while they fail."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine

from services.analytics.runner import Job, lost, run_slice

WORKERS: Final = 2  # the work is the database's; more only takes its cores away
LONGEST_PAUSE_S: Final = 60.0

log = structlog.get_logger()


@dataclass(slots=True)
class Runner:
    """One job and how it has fared: run until no work waits, pause after failures."""

    job: Job
    engine: Engine
    stop: threading.Event
    period_s: float
    failures: int = 0
    error: str | None = None
    resume: float = 0.0
    now: Callable[[], float] = field(default=time.monotonic)
    wanted: threading.Event = field(default_factory=threading.Event)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        """Run now, or have the run in progress look once more: it may have read already."""
        self.wanted.set()
        while self.wanted.is_set() and self.busy.acquire(blocking=False):
            try:
                self.wanted.clear()
                self._run()
            finally:
                self.busy.release()

    def _run(self) -> None:
        if self.now() < self.resume:
            return
        try:
            while not self.stop.is_set() and run_slice(self.engine, self.job):
                pass
        except Exception as error:  # the schedule outlives any job: told, stored, tried again
            self._failed(error)
            return
        self.failures, self.error = 0, None

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.error = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        pause = min(self.period_s * 2 ** min(self.failures, 10), LONGEST_PAUSE_S)
        self.resume = self.now() + pause
        if lost(error):
            log.warning("database lost", job=self.job.name, error=self.error, pause_s=pause)
        else:
            log.error("job failed", job=self.job.name, pause_s=pause, exc_info=error)


class Schedule:
    """Runs jobs on APScheduler until closed; `wake` brings the next run forward."""

    def __init__(
        self, engine: Engine, jobs: Sequence[Job], every_s: float, stop: threading.Event
    ) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a run in progress is no news
        self._every_s = every_s
        self._runners = [
            Runner(job, engine, stop, job.every_s or every_s * (job.periods if job.calm else 1))
            for job in jobs
        ]
        self._beat = time.monotonic()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(WORKERS), "prompt": ThreadPoolExecutor(1)},
            # Two, so that a wake during a run reaches the runner, which lets only one of them work.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 2},
        )
        for runner in self._runners:
            executor = "prompt" if runner.job.every_s else "default"
            self._add(runner, runner.job.name, runner.period_s, executor)
        self._add(self._heartbeat, "heartbeat", min(every_s, 5.0))

    def start(self) -> None:
        self._scheduler.start()

    def close(self) -> None:
        """Wait for the slices in progress; none lasts much longer than a second."""
        self._scheduler.shutdown(wait=True)

    def wake(self) -> None:
        """Run every job that is not calm now; one in progress goes on by itself."""
        for runner in self._runners:
            if runner.job.calm:
                continue
            try:
                self._scheduler.modify_job(runner.job.name, next_run_time=datetime.now(UTC))
            except JobLookupError:  # pragma: no cover - jobs are only removed by shutdown
                return

    def health(self) -> dict[str, object]:
        """ok: the scheduler beats and no job is failing."""
        age_s = time.monotonic() - self._beat
        errors = {each.job.name: each.error for each in self._runners if each.error}
        fresh = age_s < max(10 * self._every_s, 30.0)
        return {"ok": fresh and not errors, "heartbeat_age_s": round(age_s, 1), "failing": errors}

    def _add(
        self, run: Callable[[], None], name: str, period_s: float, executor: str = "default"
    ) -> None:
        when = {"seconds": period_s, "next_run_time": datetime.now(UTC)}
        self._scheduler.add_job(run, "interval", id=name, executor=executor, **when)

    def _heartbeat(self) -> None:
        self._beat = time.monotonic()
