"""`scanweave serve`: a page to look with, on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass
class Serve:
    """Open a page on this machine: studies side by side, runs that make what is absent, files in and out.

    Ctrl-C ends it.
    """

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="COHORT|RUN|DIR …", help_behavior_hint="")] = ()
    """Cohorts, runs, or folders that hold some; this folder if not given."""
    jobs: Path = Path("scanweave-page")
    """Folder of what the page makes: jobs with their results, files that are dropped; made when it is needed."""
    port: int = 0
    """Port; a free one if not given."""

    def run(self) -> int:
        """Serve until it is stopped."""
        from scanweave.web.guard import new_token
        from scanweave.web.serving import serve
        from scanweave.web.viewer_page import Viewer
        from scanweave.web.workspace import Workspace
        from scanweave.wording import count

        token = new_token()
        workspace = Workspace(self.folders or (Path(),))
        print(f"{count(len(workspace.cohorts), 'cohort')}, {count(len(workspace.runs), 'run')}, with those that ship")
        viewer = Viewer(workspace, self.jobs.absolute(), token)
        try:
            serve(viewer.app, self.port, token)
        finally:
            viewer.close()
        return 0


COMMAND = Serve
