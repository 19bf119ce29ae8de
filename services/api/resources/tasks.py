"""How things stand that services were asked to do."""

from services.api.access.guard import Router, needs
from services.api.asked import Task, Tasks
from services.api.deps import ById, Db, Id
from services.api.listing import cut
from services.api.problem import MISSING, NotFound
from shared.db import task as tasks

router = Router(tags=["tasks"])


@router.get("/tasks", summary="Tasks", dependencies=[needs("task:read")])
async def _list(connection: Db, page: ById) -> Tasks:
    after = page.after[0] if page.after else None
    found = await connection.run_sync(tasks.newest, limit=page.limit + 1, after=after)
    rows, following = cut(found, page, lambda each: (each.id,))
    return Tasks(items=[Task.model_validate(each) for each in rows], next=following)


@router.get(
    "/tasks/{task}", summary="One task", responses=MISSING, dependencies=[needs("task:read")]
)
async def _one(connection: Db, task: Id) -> Task:
    found = await connection.run_sync(tasks.find, task)
    if found is None:
        raise NotFound(f"no task {task}")
    return Task.model_validate(found)
