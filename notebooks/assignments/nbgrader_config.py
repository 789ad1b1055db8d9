"""nbgrader's settings for this course: `make assignments` makes the sources, nbgrader does the rest in this folder."""

from pathlib import Path

c = get_config()  # noqa: F821  nbgrader provides it
HERE = Path(__file__).resolve().parent

c.CourseDirectory.course_id = "sslkit"
c.CourseDirectory.root = str(HERE)
c.CourseDirectory.db_url = f"sqlite:///{HERE / 'gradebook.db'}"
c.Exchange.root = str(HERE / "exchange")  # unused unless students fetch and submit through nbgrader

# The stubs are those of build.py, so that both make the same release.
c.ClearSolutions.code_stub = {"python": "# your code here\nreturn ..."}
c.ClearSolutions.text_stub = "*Your answer here.*"

# Students' code runs in the students' environment, .venv; nbgrader itself lives in .venv-instructor.
c.Execute.kernel_name = "sslkit"
c.Execute.timeout = 300  # seconds a cell; what never ends is interrupted, gets no points, and the rest goes on
c.OverwriteCells.add_missing_cells = True  # a test that was deleted is put back, and run
