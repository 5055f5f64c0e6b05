"""From the judged `dynamic` and `octodns` blocks to the Steering that is published and checked.

Equal values of a pool become one, each value gets its check, and geodns' own rules go before octoDNS's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geodns.model import healthcheck
from geodns.model.check import Check
from geodns.model.dynamic import DynamicDraft, PoolDraft, ValueDraft
from geodns.model.extension import Extension, ValueSettings
from geodns.model.findings import Findings, Policy
from geodns.model.healthcheck import Block, Subject
from geodns.model.names import Name
from geodns.model.steering import Pool, PoolValue, Status, Steering, TtlRange


@dataclass(frozen=True, slots=True)
class _Context:
    """What every value of the record shares."""

    extension: Extension
    default_host: str
    findings: Findings
    policy: Policy


def assemble(draft: DynamicDraft, extension: Extension, owner: Name, findings: Findings, policy: Policy) -> Steering | None:
    """The steering, or None when a lenient record has nothing left to steer by; then it is served as a static one."""
    context = _Context(extension, owner.to_text(omit_final_dot=True), findings, policy)
    pools = tuple(_assemble_pool(pool, context) for pool in draft.pools)
    if not pools or not draft.rules:
        findings.warn("/dynamic", "not-steered", "nothing is left to steer by; the record is served with its own values")
        return None
    if any(value.check and _has_default_check(pool, value, extension) for pool in pools for value in pool.values):
        findings.warn(
            "/octodns/healthcheck",
            "default-healthcheck",
            f"the record has no health check and gets octoDNS's: HTTPS on port {healthcheck.OCTODNS_PORT}, "
            f"path {healthcheck.OCTODNS_PATH}, Host {context.default_host}; write the one that fits",
        )
    ttl = None
    if extension.ttl_min is not None and extension.ttl_max is not None:
        ttl = TtlRange(extension.ttl_min, extension.ttl_max)
    return Steering(
        pools,
        extension.rules + draft.rules,
        answers=extension.answers,
        select=extension.select,
        all_down=extension.all_down,
        min_up=extension.min_up,
        ttl=ttl,
    )


def _has_default_check(pool: Pool, value: PoolValue, extension: Extension) -> bool:
    blocks = (extension.pools.get(pool.name, healthcheck.SILENT), extension.values.get(value.value, ValueSettings()).healthcheck)
    return extension.default_check and all(block.is_silent for block in blocks)


def _assemble_pool(draft: PoolDraft, context: _Context) -> Pool:
    """Values in octoDNS's order: by their text."""
    entries: dict[str, list[ValueDraft]] = {}
    for entry in draft.values:
        entries.setdefault(entry.value.text, []).append(entry)
    block = context.extension.pools.get(draft.name, healthcheck.SILENT)
    values = tuple(_assemble_value(entries[text], block, context) for text in sorted(entries))
    return Pool(draft.name, values, draft.fallback)


def _assemble_value(entries: Sequence[ValueDraft], pool_block: Block, context: _Context) -> PoolValue:
    entry = entries[0]
    weight, status = _merge_entries(entries, context.findings)
    text = entry.value.text
    settings = context.extension.values.get(text, ValueSettings())
    check = None
    if status is Status.OBEY:
        extension = context.extension
        levels = (extension.octodns_healthcheck, extension.healthcheck, pool_block, settings.healthcheck)
        check = healthcheck.resolve(levels, Subject(text, context.default_host))
        _guard(check, entry.pointer, context)
    return PoolValue(
        value=text,
        rdata=entry.value.rdata,
        weight=settings.weight or weight,
        status=status,
        check=check,
        drained=settings.weight == 0,
        site=settings.site,
        latitude=settings.latitude,
        longitude=settings.longitude,
    )


def _merge_entries(entries: Sequence[ValueDraft], findings: Findings) -> tuple[int, Status]:
    """One weight and one status for entries of the same value.

    | statuses among them | weight              | status |
    |---------------------|---------------------|--------|
    | all down            | sum                 | down   |
    | at least one up     | sum without down    | up     |
    | obey, perhaps down  | sum without down    | obey   |
    """
    for repeated in entries[1:]:
        findings.warn(repeated.pointer, "duplicate-value", "the value stands in this pool already; the two count once, their weights added")
    live = [entry for entry in entries if entry.status is not Status.DOWN] or entries
    status = Status.UP if any(entry.status is Status.UP for entry in live) else live[0].status
    return sum(entry.weight for entry in live), status


def _guard(check: Check | None, pointer: str, context: _Context) -> None:
    """A probe target that must not be contacted refuses the record: the alternative is a value that can never come up."""
    if check and (reason := healthcheck.why_refused(check, context.policy)):
        mend = "switch its check off, or check another address"
        if "loopback" in reason:
            mend += ", or set prober.allow_loopback"
        context.findings.error(pointer, "guarded-target", f"{reason}, which is not probed; {mend}")
