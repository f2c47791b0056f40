"""The tables of campaigns: what `gateway.provisioning` has decided, kept. One call is one transaction, durable on return."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from gateway.audit.event import printable
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Campaign, Member, Order, OrderRefused, obeyed
from gateway.provisioning.campaign_states import CampaignState, MemberState
from gateway.provisioning.people import name_of
from gateway.store.campaign_tables import campaign_members, campaign_steps, campaigns
from gateway.store.cluster import Fence, verify_held
from gateway.store.database import Database
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.sound_rows import OnDamage, sound_rows

__all__ = ["CampaignStep", "CampaignTable"]

_JSON = ("plan", "strata")
_OPEN = sorted(state.value for state in CampaignState if not state.is_over)
_ACTIVE = sorted(set(_OPEN) - {CampaignState.PLANNED.value})
_MEMBER_OPEN = sorted(state.value for state in MemberState if not state.is_over)
_MEMBER_FIELDS = tuple(name for name in Member.__struct_fields__ if name != "charge_point_id")
_UPDATE_MEMBER = (
    update(campaign_members)
    .where(
        campaign_members.c.campaign == bindparam("of_campaign"),
        campaign_members.c.charge_point_id == bindparam("of_member"),
    )
    .values({name: bindparam(f"new_{name}", type_=campaign_members.c[name].type) for name in _MEMBER_FIELDS})
)


class CampaignStep(msgspec.Struct, frozen=True, kw_only=True):
    """A state that a charge point has come into."""

    charge_point_id: ChargePointId
    at: float
    state: MemberState
    detail: str


class CampaignTable:
    """A part of the registry. Raises StoreError and its kinds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- an operator's

    def add(self, campaign: Campaign, members: Iterable[Member]) -> Campaign:
        """A new one with its charge points; gives it back with its number. Raises StoreError if the name is taken."""
        with self._database.writing() as connection:
            try:
                key = connection.execute(insert(campaigns).values(ordered="", **_campaign_row(campaign)))
            except IntegrityError:
                raise StoreError(f"There is a campaign '{printable(campaign.name)}' already.") from None
            number = key.inserted_primary_key[0] if key.inserted_primary_key is not None else 0
            rows = [_member_row(number, each) for each in members]
            if rows:
                connection.execute(insert(campaign_members), rows)
                connection.execute(insert(campaign_steps), [_step_row(row) for row in rows])
            return msgspec.structs.replace(campaign, number=number)

    def order(self, name: str, order: Order, now: float) -> Campaign:
        """Leave an order for the gateway. Raises OrderRefused if it does not fit the state, StoreError if there is none.

        Another one that has not been performed yet is replaced.
        """
        with self._database.writing() as connection:
            campaign = _named(connection, name)
            obeyed(campaign, order, now)
            if order.what == "start":
                _verify_not_elsewhere(connection, campaign.number)
            connection.execute(_of(campaign.number).values(ordered=_order_text(order)))
            return campaign

    def approve(self, name: str, by: str, now: float) -> Campaign:
        """A second person agrees. Raises OrderRefused, StoreError."""
        with self._database.writing() as connection:
            campaign = _named(connection, name)
            if campaign.state is not CampaignState.PLANNED:
                raise OrderRefused(f"it is {campaign.state.value}, so there is nothing to approve")
            if campaign.approved_by:
                raise OrderRefused(f"{campaign.approved_by} has approved it already")
            if name_of(by).strip().casefold() == name_of(campaign.planned_by).strip().casefold():
                raise OrderRefused(f"{campaign.planned_by} has planned it: somebody else has to approve it")
            connection.execute(_of(campaign.number).values(approved_by=by, approved_at=now))
            return msgspec.structs.replace(campaign, approved_by=by, approved_at=now)

    def remove(self, name: str) -> None:
        """Forget one that is not under way, with all about it. Raises OrderRefused, StoreError."""
        with self._database.writing() as connection:
            campaign = _named(connection, name)
            if campaign.state.value in _ACTIVE:
                raise OrderRefused(f"it is {campaign.state.value}")
            connection.execute(delete(campaigns).where(campaigns.c.number == campaign.number))

    # -- the gateway's

    def put(
        self, campaign: Campaign, members: Sequence[Member], done: Order | None = None, fence: Fence | None = None
    ) -> None:
        """Store what has changed, all or nothing; one charge point may have changed several times.

        `done`: the order that this performs, which is then not there any more. `fence`: the lease by which it is done, of
        several nodes. Raises StoreError, also if the campaign is gone; Overtaken if another node has the lease by now.
        """
        row = _campaign_row(campaign)
        with self._database.writing() as connection:
            if fence is not None:
                verify_held(connection, fence)
            if connection.execute(_of(campaign.number).values(**row)).rowcount == 0:
                raise StoreError(f"The campaign '{printable(campaign.name)}' is gone.")
            if members:
                rows = [_member_row(campaign.number, each) for each in members]
                connection.execute(_UPDATE_MEMBER, [_bound(row) for row in rows])
                connection.execute(insert(campaign_steps), [_step_row(row) for row in rows])
            if done is not None:
                _clear_order(connection, campaign.number, done)

    def active(self, on_damage: Callable[[StoreError], None] | None = None) -> list[tuple[Campaign, Order | None]]:
        """Every campaign that is under way or has an order, with the order.

        A row that cannot be read ends in a StoreError, or in a call of `on_damage` with it and without the row.
        """
        query = select(campaigns).where(or_(campaigns.c.state.in_(_ACTIVE), campaigns.c.ordered != ""))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(campaigns.c.number)).mappings().all()
        found = []
        for row in rows:
            try:
                found.append((_campaign(row), _order(row["ordered"])))
            except StoreError as error:
                if on_damage is None:
                    raise
                on_damage(error)
        return found

    def drop_order(self, number: int, order: Order) -> None:
        """It cannot be performed any more."""
        with self._database.writing() as connection:
            _clear_order(connection, number, order)

    def members_elsewhere(self, number: int) -> list[ChargePointId]:
        """Those of its charge points that are still open in another campaign which is under way."""
        with self._database.reading() as connection:
            return _elsewhere(connection, number)

    # -- reading

    def all(self) -> list[Campaign]:
        """The newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(campaigns).order_by(campaigns.c.number.desc())).mappings()
            return [_campaign(row) for row in rows]

    def get(self, name: str) -> tuple[Campaign, Order | None]:
        """The campaign and what it was ordered and has not done yet. Raises StoreError if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(campaigns).where(campaigns.c.name == name)).mappings().one_or_none()
            if row is None:
                raise StoreError(f"There is no campaign '{printable(name)}'.")
            return _campaign(row), _order(row["ordered"])

    def members(self, number: int, on_damage: OnDamage | None = None) -> list[Member]:
        """In line."""
        query = select(campaign_members).where(campaign_members.c.campaign == number).order_by(campaign_members.c.rank)
        with self._database.reading() as connection:
            return sound_rows(connection.execute(query).mappings(), _member, on_damage)

    def told_last(self, charge_point_id: str, kind: str) -> tuple[Campaign, Member] | None:
        """The newest campaign of this kind that has told the charge point something, and where it is in it."""
        table = campaign_members.c
        query = (
            select(campaigns.c.name, campaigns.c.number)
            .join(campaign_members, campaigns.c.number == table.campaign)
            .where(campaigns.c.kind == kind, table.charge_point_id == charge_point_id, table.switched_at > 0.0)
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(campaigns.c.number.desc()).limit(1)).one_or_none()
            if found is None:
                return None
            chosen = (table.campaign == found.number, table.charge_point_id == charge_point_id)
            row = connection.execute(select(campaign_members).where(*chosen)).mappings().one()
            campaign = connection.execute(select(campaigns).where(campaigns.c.number == found.number)).mappings().one()
            return _campaign(campaign), _member(row)

    def steps(self, number: int, charge_point_id: str | None = None) -> list[CampaignStep]:
        """What has happened, the oldest first; of one charge point or of all."""
        query = select(campaign_steps).where(campaign_steps.c.campaign == number).order_by(campaign_steps.c.id)
        if charge_point_id is not None:
            query = query.where(campaign_steps.c.charge_point_id == charge_point_id)
        with self._database.reading() as connection:
            return [
                CampaignStep(
                    charge_point_id=row.charge_point_id, at=row.at, state=MemberState(row.state), detail=row.detail
                )
                for row in connection.execute(query)
            ]

    def counts(self, number: int) -> dict[tuple[int, MemberState], int]:
        """How many of each stratum are in each state."""
        table = campaign_members.c
        query = select(table.stratum, table.state, func.count()).where(table.campaign == number)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(table.stratum, table.state)).all()
        return {(stratum, MemberState(state)): count for stratum, state, count in rows}

    def open_elsewhere(self) -> dict[ChargePointId, str]:
        """Who is open in a campaign that is not over, and in which."""
        query: Select[Any] = (
            select(campaign_members.c.charge_point_id, campaigns.c.name)
            .join(campaigns, campaigns.c.number == campaign_members.c.campaign)
            .where(campaigns.c.state.in_(_OPEN), campaign_members.c.state.in_(_MEMBER_OPEN))
        )
        with self._database.reading() as connection:
            return {ChargePointId(identity): name for identity, name in connection.execute(query)}


def _of(number: int) -> Any:
    return update(campaigns).where(campaigns.c.number == number)


def _named(connection: Connection, name: str) -> Campaign:
    row = connection.execute(select(campaigns).where(campaigns.c.name == name).with_for_update()).mappings()
    found = row.one_or_none()
    if found is None:
        raise StoreError(f"There is no campaign '{printable(name)}'.")
    return _campaign(found)


def _verify_not_elsewhere(connection: Connection, number: int) -> None:
    elsewhere = _elsewhere(connection, number)
    if elsewhere:
        shown = ", ".join(printable(each, 64) for each in elsewhere[:3])
        raise OrderRefused(f"{len(elsewhere)} of its charge points are in another campaign: {shown}")


def _elsewhere(connection: Connection, number: int) -> list[ChargePointId]:
    ours = select(campaign_members.c.charge_point_id).where(
        campaign_members.c.campaign == number, campaign_members.c.state.in_(_MEMBER_OPEN)
    )
    query = (
        select(campaign_members.c.charge_point_id)
        .join(campaigns, campaigns.c.number == campaign_members.c.campaign)
        .where(
            campaign_members.c.campaign != number,
            campaigns.c.state.in_(_ACTIVE),
            campaign_members.c.state.in_(_MEMBER_OPEN),
            campaign_members.c.charge_point_id.in_(ours),
        )
    )
    return [ChargePointId(each) for each in connection.execute(query).scalars()]


def _campaign_row(campaign: Campaign) -> dict[str, Any]:
    row = {name: getattr(campaign, name) for name in campaign.__struct_fields__ if name != "number"}
    return row | {name: msgspec.json.encode(row[name]).decode() for name in _JSON} | {"state": campaign.state.value}


def _campaign(row: Any) -> Campaign:
    values = {str.__str__(key): value for key, value in row.items() if key != "ordered"}
    try:
        decoded = values | {name: msgspec.json.decode(values[name]) for name in _JSON}
        return msgspec.convert(decoded, Campaign)
    except msgspec.MsgspecError as error:
        raise StoreError(f"The campaign '{printable(str(row['name']))}' is damaged: {error}") from None


def _clear_order(connection: Connection, number: int, order: Order) -> None:
    """Unless another one has taken its place."""
    connection.execute(_of(number).where(campaigns.c.ordered == _order_text(order)).values(ordered=""))


def _order_text(order: Order) -> str:
    return msgspec.json.encode(order).decode()


def _order(text: str) -> Order | None:
    try:
        return msgspec.json.decode(text, type=Order) if text else None
    except msgspec.MsgspecError:
        return None


def _member_row(number: int, member: Member) -> dict[str, Any]:
    row = {name: getattr(member, name) for name in member.__struct_fields__}
    return row | {"campaign": number, "state": member.state.value}


def _bound(row: dict[str, Any]) -> dict[str, Any]:
    values = {f"new_{name}": row[name] for name in _MEMBER_FIELDS}
    return values | {"of_campaign": row["campaign"], "of_member": row["charge_point_id"]}


def _step_row(row: dict[str, Any]) -> dict[str, Any]:
    names = ("campaign", "charge_point_id", "state", "detail")
    return {name: row[name] for name in names} | {"at": row["changed_at"]}


def _member(row: Any) -> Member:
    values = {str.__str__(key): value for key, value in row.items() if key != "campaign"}
    try:
        return msgspec.convert(values, Member)
    except msgspec.ValidationError as error:
        raise DamagedRow(str(row["charge_point_id"]), str(error), "row in a campaign") from None
