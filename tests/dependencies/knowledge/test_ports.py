from garrison.core.findings import Severity
from garrison.dependencies.knowledge.ports import ports


def test_servers_that_run_code_for_anybody_are_known_by_their_number() -> None:
    for number in (8265, 8888, 11434, 2375, 10001):
        assert ports()[number].alone and ports()[number].severity is Severity.HIGH


def test_ports_that_ordinary_programs_use_too_do_not_tell_alone() -> None:
    for number in (5000, 8000, 8080, 9000):
        assert not ports()[number].alone and ports()[number].severity.rank <= Severity.MEDIUM.rank
    assert all(1 <= number < 65536 and entry.product and entry.power for number, entry in ports().items())
