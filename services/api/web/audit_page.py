"""stand-in"""

from services.api.access.guard import Router

router = Router(include_in_schema=False)
