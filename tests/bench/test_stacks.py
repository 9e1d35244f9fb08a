"""What a sampler saw: whose code a frame is, what is merged and left out, and the arithmetic of shares."""

from typing import Final

import pytest

from bench.stacks import KERNEL, TRIO, Frame, Layer, leaves, read, shares

ROOT: Final = "<module> (tarpit/__main__.py:5);run (trio/_core/_run.py:2532)"
LOOP: Final = f"{ROOT};unrolled_run (trio/_core/_run.py:2866)"
RUN: Final = Frame("Session.run", "tarpit/session.py")
SEND: Final = Frame("send", KERNEL)

FOLDED: Final = [
    "main (a.py:1);run (b.py:7);send (c.py:3) 6",
    "main (a.py:1);run (b.py:9) 3",
    "main (a.py:1) 1",
]


def test_lines_of_a_function_are_one() -> None:
    """Two stacks that differ in their lines only are one."""
    stacks = read(
        [f"{LOOP};Session.run (tarpit/session.py:119) 2", f"{LOOP};Session.run (tarpit/session.py:7) 3"]
    )
    assert stacks == {(TRIO, RUN): 5}


def test_all_that_leads_to_the_loop_is_trio() -> None:
    """How the worker was started is not part of the path; what the loop itself does is below it."""
    poll = "EpollIOManager.get_events (trio/_core/_io_epoll.py:243)"
    spawn = "Runner.spawn_impl (trio/_core/_run.py:2002)"
    assert read([f"{ROOT};{poll} 1"]) == {
        (TRIO, Frame("EpollIOManager.get_events", "trio/_core/_io_epoll.py")): 1
    }
    assert read([f"{LOOP} 1"]) == {(TRIO,): 1}
    assert read([f"{LOOP};Session.run (tarpit/session.py:1);{spawn} 1"]) == {
        (TRIO, RUN, Frame("Runner.spawn_impl", "trio/_core/_run.py")): 1
    }


def test_a_thread_stays_as_it_is() -> None:
    """What never was in the loop is not made to look as if it had been."""
    assert read(["Thread._bootstrap (threading.py:1002);work (tarpit/store/sqlite.py:9) 4"]) == {
        (Frame("Thread._bootstrap", "threading.py"), Frame("work", "tarpit/store/sqlite.py")): 4
    }


def test_of_what_is_not_python_system_calls_stay() -> None:
    """What the interpreter does, and libc without the kernel, is its caller's."""
    below = f"{LOOP};Session.run (tarpit/session.py:119)"
    folded = [
        f"0x7f378e44524a (libc.so.6);{below};sock_send (socketmodule.c:4207);send (libc.so.6) 4",
        f"{below};_sre_SRE_Pattern_fullmatch (libpython3.11.so.1.0) 2",
        f"{below};sock_recv (socketmodule.c.h:12);malloc (libc.so.6) 1",
        f"{below};send (libcrypto.so.3) 1",
        f"{below};time_perf_counter (libpython3.11.so.1.0);clock_gettime (libc.so.6);0x7f37 ([vdso]) 1",
    ]
    assert read(folded) == {(TRIO, RUN, SEND): 4, (TRIO, RUN): 5}


def test_no_file_has_the_path_of_a_machine() -> None:
    """A file that py-spy cannot shorten keeps its folder, and no more."""
    assert read(["f (/srv/site/somewhere/odd/thing.py:3) 1"]) == {(Frame("f", "odd/thing.py"),): 1}


@pytest.mark.parametrize(
    ("frame", "layer"),
    [
        ("Session.run (tarpit/session.py:1)", Layer.TARPIT),
        ("parse (tarpit/smtp/commands.py:1)", Layer.SMTP),
        ("Scorer.count_connection (scoring/score.py:1)", Layer.SCORING),
        ("wait_task_rescheduled (trio/_core/_traps.py:216)", Layer.TRIO),
        ("Value.unwrap (outcome/_impl.py:180)", Layer.TRIO),
        ("__init__ (<attrs generated methods trio._core._traps.WaitTaskRescheduled>:29)", Layer.TRIO),
        ("socket._real_close (socket.py:497)", Layer.STANDARD),
        ("JSONEncoder.encode (json/encoder.py:200)", Layer.STANDARD),
        ("__create_fn__.<locals>.__init__ (<string>:3)", Layer.STANDARD),
        ("_run_code (<frozen runpy>:88)", Layer.STANDARD),
        ("WriteLogger.msg (structlog/_output.py:209)", Layer.OTHERS),
        ("epoll_wait (libc.so.6)", Layer.KERNEL),
    ],
)
def test_layers(frame: str, layer: Layer) -> None:
    """Whose a frame is shows in its file."""
    ((only,),) = read([f"{frame} 1"])
    assert only.layer is layer


def test_shares() -> None:
    """A function has all that it calls, once a stack, whatever the line; and what it does itself."""
    total, _, *rows = shares(read(FOLDED), rows=10)
    assert total == "10 samples"
    assert [row.split() for row in rows] == [
        ["90.0%", "30.0%", "run", "(b.py)"],
        ["60.0%", "60.0%", "send", "(c.py)"],
    ]
    assert len(shares(read(FOLDED), rows=1)) == 3


def test_a_function_that_calls_itself_counts_once() -> None:
    """No share is above the whole."""
    assert shares(read(["g (a.py:1) 1", "f (a.py:1);f (a.py:2);f (a.py:2) 1"]), rows=10)[2:] == [
        "              50.0%   50.0%   g  (a.py)",
        "              50.0%   50.0%   f  (a.py)",
    ]


def test_leaves() -> None:
    """Who takes more than a twentieth alone is named, whoever called it; then the next."""
    stacks = {
        (TRIO, RUN, SEND): 40,
        (RUN, SEND): 20,
        (TRIO, RUN): 36,
        (TRIO,): 3,
        (TRIO, Frame("recv", KERNEL)): 4,
    }
    assert leaves(stacks) == (
        "Alone more than 5%: send (kernel) 58.3%, Session.run (tarpit/session.py) 35.0%. "
        "Next that is no system call: trio (trio/_core/_run.py) 2.9%."
    )
    assert leaves({(Frame(name, "a.py"),): 1 for name in map(str, range(40))}).startswith(
        "Alone more than 5%: nothing."
    )
    assert leaves({(SEND,): 1}) == "Alone more than 5%: send (kernel) 100.0%."
