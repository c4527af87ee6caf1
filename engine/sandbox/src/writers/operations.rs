//! What the writers do: what an application of a DVD-rental would do, and what makes change capture hard.
//!
//! Each writer touches only rows whose number is its own, so that no writer waits for another.

use crate::random::Random;

/// How large the tables were when the writers started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) rentals: u64,
    pub(crate) payments: u64,
    pub(crate) members: u64,
    pub(crate) discs: u64,
    pub(crate) documents: u64,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Rollback,
    /// `PREPARE TRANSACTION`, and `COMMIT PREPARED` a moment later.
    TwoPhases,
}

/// One transaction, without its beginning, its record and its end.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) statements: String,
    pub(crate) ending: Ending,
}

/// What a transaction is made of.
pub(crate) struct Maker {
    pub(crate) random: Random,
    pub(crate) bounds: Bounds,
    pub(crate) writer: u32,
    pub(crate) writers: u32,
    /// Of the next transaction. A number that was used is never used again.
    pub(crate) number: u64,
}

type Operation = fn(&mut Maker) -> String;

/// How often in a thousand, and what.
const OPERATIONS: &[(u64, Operation)] = &[
    (280, Maker::rent),
    (120, Maker::give_back),
    (90, Maker::move_payment),
    (80, Maker::change_address),
    (80, Maker::collect_points),
    (70, Maker::note_event),
    (60, Maker::delete_payment),
    (60, Maker::move_shelf),
    (50, Maker::save_and_take_back),
    (40, Maker::fill_scratch),
    (30, Maker::add_fact),
    (12, Maker::fill_basket),
    (8, Maker::rewrite_review),
    (6, Maker::delete_rental),
    (5, Maker::change_event),
    (4, Maker::paint_poster),
    (3, Maker::empty_scratch),
    (2, Maker::send_parcels),
];
/// Rows of a large transaction.
const PARCELS: u64 = 3_000;
/// Up to that number, two payments have the same, at different times.
const PAID_TWICE: u64 = 40;
const REGIONS: &[&str] = &["north", "south", "east", "west"];

impl Maker {
    pub(crate) fn work(&mut self) -> Work {
        let mut left = self.random.below(OPERATIONS.iter().map(|(often, _)| often).sum());
        let chosen = OPERATIONS.iter().find(|(often, _)| {
            let found = left < *often;
            left = left.saturating_sub(*often);
            found
        });
        let operation = chosen.map_or(Self::rent as Operation, |(_, found)| *found);
        let statements = operation(self);
        let ending = match self.random.below(100) {
            // An exclusive lock is not held for longer than it takes.
            _ if statements.contains("truncate") => Ending::Commit,
            0..3 => Ending::TwoPhases,
            3..6 => Ending::Rollback,
            _ => Ending::Commit,
        };
        Work { statements, ending }
    }

    /// A number up to a limit that no other writer takes.
    fn own(&mut self, limit: u64) -> u64 {
        let writers = u64::from(self.writers);
        self.random.below(limit / writers + 1) * writers + u64::from(self.writer)
    }

    /// A number that no other transaction has.
    fn fresh(&self) -> u64 {
        self.number * u64::from(self.writers) + u64::from(self.writer)
    }

    /// A moment of the months that have partitions, or after them.
    fn moment(&mut self) -> String {
        let hours = self.random.below(4_800);
        format!("timestamptz '2026-01-01 00:00+00' + interval '1 hour' * {hours}")
    }

    fn rent(&mut self) -> String {
        let disc = 1 + self.random.below(self.bounds.discs);
        let member = 1 + self.random.below(self.bounds.members);
        let (employee, cents, paid_at) =
            (1 + self.random.below(24), self.random.below(2_000), self.moment());
        format!(
            "with rented as (insert into public.rental (disc_id, member_id, employee_id, rented_at) \
             values ({disc}, {member}, {employee}, clock_timestamp()) returning *) \
             insert into public.payment (member_id, employee_id, rental_id, amount, paid_at) \
             select member_id, employee_id, rental_id, {cents} / 100.0, {paid_at} from rented"
        )
    }

    fn give_back(&mut self) -> String {
        let rental = self.own(self.bounds.rentals);
        format!(
            "update public.rental set returned_at = clock_timestamp(), changed_at = now() \
             where rental_id = {rental}"
        )
    }

    fn move_payment(&mut self) -> String {
        let (payment, paid_at) = (self.payment(), self.moment());
        format!("update public.payment set paid_at = {paid_at} where payment_id = {payment}")
    }

    fn change_address(&mut self) -> String {
        let (member, number) = (self.own(self.bounds.members), self.number);
        format!(
            "update public.member set email = 'mail{number}@mail.example', changed_at = now() \
             where member_id = {member}"
        )
    }

    /// An upsert; now and then the replica identity itself changes.
    fn collect_points(&mut self) -> String {
        // One of its own that there surely is: a foreign key leads to it.
        let writers = u64::from(self.writers);
        let member = self.own(self.bounds.members.saturating_sub(2 * writers)) + writers;
        let card = self.fresh();
        let points = format!(
            "insert into back_office.loyalty_card as card (member_id, card_number, points, valid) \
             values ({member}, 'W-{card}', 1, '[2026-01-01,2027-01-01)') \
             on conflict (member_id) do update set points = card.points + 1"
        );
        if self.random.below(4) > 0 {
            return points;
        }
        format!(
            "{points}; update back_office.loyalty_card set card_number = 'N-{card}' \
             where member_id = {member}"
        )
    }

    fn note_event(&mut self) -> String {
        let (rental, number) = (self.own(self.bounds.rentals), self.number);
        format!(
            "insert into back_office.rental_event (rental_id, step, happened_at, note) \
             values ({rental}, 'reminded', clock_timestamp(), 'letter {number}')"
        )
    }

    /// Rows of a table without a key: the whole row is their identity.
    fn change_event(&mut self) -> String {
        let (rental, number) = (self.own(self.bounds.rentals), self.number);
        if self.random.below(2) == 0 {
            return format!("delete from back_office.rental_event where rental_id = {rental}");
        }
        format!(
            "update back_office.rental_event set note = 'call {number}' where rental_id = {rental}"
        )
    }

    fn delete_payment(&mut self) -> String {
        let payment = self.payment();
        format!("delete from public.payment where payment_id = {payment}")
    }

    /// The first numbers stand for two payments each, which would meet.
    fn payment(&mut self) -> u64 {
        let first = PAID_TWICE.next_multiple_of(u64::from(self.writers));
        first + self.own(self.bounds.payments.saturating_sub(first))
    }

    fn delete_rental(&mut self) -> String {
        let rental = self.own(self.bounds.rentals);
        format!("delete from public.rental where rental_id = {rental}")
    }

    fn move_shelf(&mut self) -> String {
        let new = self.fresh();
        let earlier = self.random.below(self.number) * u64::from(self.writers);
        let earlier = earlier + u64::from(self.writer);
        let mut region = || REGIONS[usize::try_from(self.random.below(4)).unwrap_or(0)];
        let (from, to) = (region(), region());
        format!(
            "insert into writers.shelf (shelf_id, region, label) values ({new}, '{from}', md5('{new}')); \
             update writers.shelf set region = '{to}' where shelf_id in ({new}, {earlier})"
        )
    }

    fn save_and_take_back(&mut self) -> String {
        let (taken_back, inner, kept) =
            (self.give_back(), self.note_event(), self.change_address());
        format!(
            "savepoint outer_one; {taken_back}; savepoint inner_one; {inner}; \
             rollback to savepoint outer_one; {kept}; savepoint other; {inner}; release savepoint other"
        )
    }

    fn fill_scratch(&mut self) -> String {
        let new = self.fresh();
        format!("insert into writers.scratch (scratch_id, note) values ({new}, md5('{new}'))")
    }

    /// Gives up where somebody reads the table for long: others would wait behind it.
    fn empty_scratch(&mut self) -> String {
        let fill = self.fill_scratch();
        format!("set local lock_timeout = '200ms'; truncate writers.scratch; {fill}")
    }

    /// Long text that stands apart and does not change is not in the change.
    fn add_fact(&mut self) -> String {
        let (document, number) = (self.document(), self.number);
        format!(
            "update back_office.title_document set facts = facts || '{{\"seen\": {number}}}' \
             where document_id = {document}"
        )
    }

    fn rewrite_review(&mut self) -> String {
        let (document, lines) = (self.document(), 80 + self.random.below(200));
        format!(
            "update back_office.title_document set review = repeat(md5('{document}') || ' ', {lines}) \
             where document_id = {document}"
        )
    }

    fn document(&mut self) -> u64 {
        100 + 10 * self.own(self.bounds.documents)
    }

    fn fill_basket(&mut self) -> String {
        let (member, earlier) = (self.own(self.bounds.members), self.own(self.bounds.members / 6));
        format!(
            "insert into back_office.basket (member_id, title_ids) values ({member}, '{{1,2,3}}'); \
             delete from back_office.basket where basket_id = {earlier}"
        )
    }

    /// Large objects: one changes, one is made, one goes.
    fn paint_poster(&mut self) -> String {
        let (title, at, number) = (1 + self.writer, self.random.below(3_000), self.number);
        match self.random.below(3) {
            0 => format!("select lo_from_bytea(0, decode(md5('{number}'), 'hex'))"),
            1 => format!(
                "select lo_unlink(oid) from pg_largeobject_metadata where lomowner = \
                 (select oid from pg_roles where rolname = current_user) \
                 and mod(oid::bigint, {}) = {} order by oid limit 1",
                self.writers, self.writer
            ),
            _ => format!(
                "select lo_put(image, {at}, decode(md5('{number}'), 'hex')) \
                 from back_office.poster where title_id = {title}"
            ),
        }
    }

    fn send_parcels(&mut self) -> String {
        let (writer, number) = (self.writer, self.number);
        format!(
            "insert into writers.parcel (writer, number, line, content) \
             select {writer}, {number}, line, md5(line::text) from generate_series(1, {PARCELS}) as line; \
             delete from writers.parcel where writer = {writer} and number < {number}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { rentals: 650, payments: 690, members: 200, discs: 240, documents: 60 };

    fn works(seed: u64, amount: u64) -> Vec<Work> {
        let random = Random::new(seed);
        let mut maker = Maker { random, bounds: BOUNDS, writer: 1, writers: 4, number: 0 };
        let work = |number| {
            maker.number = number;
            maker.work()
        };
        (1..=amount).map(work).collect()
    }

    #[test]
    fn a_seed_makes_the_same_work_again() {
        let told = |seed| works(seed, 50).into_iter().map(|work| work.statements).collect();
        let (one, again, other): (Vec<_>, Vec<_>, Vec<_>) = (told(7), told(7), told(8));
        assert_eq!(one, again);
        assert_ne!(one, other);
    }

    #[test]
    fn everything_that_is_hard_comes_up() {
        let works = works(7, 3_000);
        for wanted in ["truncate", "savepoint", "on conflict", "set region", "lo_put", "parcel"] {
            assert!(works.iter().any(|work| work.statements.contains(wanted)), "{wanted}");
        }
        for wanted in [Ending::Commit, Ending::Rollback, Ending::TwoPhases] {
            assert!(works.iter().any(|work| work.ending == wanted), "{wanted:?}");
        }
    }
}
