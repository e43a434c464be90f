//! Two that read at the same time, threads and processes, against one: and the same of look-ups in memory of each one's own.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::time::Instant;

use payload_manager_client::PayloadId;
use payload_manager_client::blocking::Client;

use super::fast::{in_order, views};
use crate::row::{Row, Target};
use crate::sample::{Beside, Times, nanos};
use crate::{Result, part};

/// What one reader does so often, in nanoseconds each.
#[derive(Debug, Clone, Copy)]
enum Loop {
    /// Views taken and dropped.
    Views,
    /// Look-ups in a map that is made for it.
    Plain,
}

impl Loop {
    const fn word(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Plain => "plain",
        }
    }

    fn named(word: &str) -> Option<Self> {
        [Self::Views, Self::Plain].into_iter().find(|one| one.word() == word)
    }

    fn run(self, client: &Client, ids: &[PayloadId], count: usize) -> Result<f64> {
        match self {
            Self::Views => views(client, ids, count, in_order()),
            Self::Plain => Ok(look_ups(ids, count)),
        }
    }
}

/// How many times as much two threads do as one.
pub(super) fn threads(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let count = times.samples * 4;
    let beside =
        alternate(times, |what| scaling(|()| what.run(client, ids, count), |()| what.run(client, ids, count)))?;
    let floor = "two threads on memory of their own";
    Ok(Row::beside("lease.fast.two", "x", &beside, floor, Target::Share(0.9)))
}

/// The same of this process and another.
pub(super) fn processes(client: &Client, ids: &[PayloadId], times: Times) -> Result<Row> {
    let count = times.samples * 4;
    let other = std::sync::Mutex::new(Other::start(client.address(), ids)?);
    let theirs = |what: Loop| other.lock().map_err(|_| "a thread panicked")?.run(what, count);
    let beside = alternate(times, |what| scaling(|()| what.run(client, ids, count), |()| theirs(what)))?;
    let floor = "two processes on memory of their own";
    Ok(Row::beside("lease.fast.two.processes", "x", &beside, floor, Target::Share(0.9)))
}

fn alternate(times: Times, mut both: impl FnMut(Loop) -> Result<f64>) -> Result<Beside> {
    let mut beside = Beside::default();
    // The first of each warms up: the other process's session, and its segments.
    both(Loop::Views)?;
    both(Loop::Plain)?;
    for round in 0..times.rounds.div_ceil(4) {
        if round % 2 == 0 {
            beside.ours.add(both(Loop::Views)?);
            beside.floor.add(both(Loop::Plain)?);
        } else {
            beside.floor.add(both(Loop::Plain)?);
            beside.ours.add(both(Loop::Views)?);
        }
    }
    Ok(beside)
}

/// How many times as much the two do at the same time as the first does alone.
fn scaling(ours: impl Fn(()) -> Result<f64>, theirs: impl Fn(()) -> Result<f64> + Sync) -> Result<f64> {
    let alone = ours(())?;
    std::thread::scope(|scope| {
        let other = scope.spawn(|| theirs(()));
        let rate = alone / ours(())?;
        Ok(rate + alone / other.join().unwrap_or_else(|_| Err("a thread panicked".into()))?)
    })
}

fn look_ups(ids: &[PayloadId], count: usize) -> f64 {
    let mut map: HashMap<PayloadId, u64> = ids.iter().map(|id| (*id, 0)).collect();
    let (begun, mut next) = (Instant::now(), in_order());
    for _ in 0..count {
        if let Some(found) = ids.get(next() % ids.len()).and_then(|id| map.get_mut(id)) {
            *found += 1;
        }
    }
    black_box(map.len());
    nanos(begun.elapsed()) / count as f64
}

/// The other process, which reads what it is told, as often as it is told.
struct Other {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    fn start(address: &str, ids: &[PayloadId]) -> Result<Self> {
        let mut child = part::reader(address)?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let (mut orders, answers) = (orders.ok_or("no stdin")?, BufReader::new(answers.ok_or("no stdout")?));
        ids.iter().try_for_each(|id| writeln!(orders, "{id}"))?;
        writeln!(orders)?;
        Ok(Self { child, orders, answers })
    }

    fn run(&mut self, what: Loop, count: usize) -> Result<f64> {
        writeln!(self.orders, "{} {count}", what.word())?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It has nothing to tidy up but its session, which the daemon does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the other process does: ids, an empty line, then orders, each of them answered.
pub(crate) fn read_as_told(address: &str) -> Result<()> {
    let client = Client::connect(address)?;
    let mut lines = std::io::stdin().lines();
    let mut ids: Vec<PayloadId> = Vec::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        ids.push(line.parse()?);
    }
    for order in lines {
        let order = order?;
        let (word, count) = order.split_once(' ').ok_or("no order")?;
        let what = Loop::named(word).ok_or("an unknown order")?;
        println!("{}", what.run(&client, &ids, count.parse()?)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_do_not_meet_do_twice_as_much_as_one() {
        assert!((scaling(|()| Ok(2.0), |()| Ok(2.0)).unwrap() - 2.0).abs() < f64::EPSILON);
        assert!((scaling(|()| Ok(2.0), |()| Ok(4.0)).unwrap() - 1.5).abs() < f64::EPSILON);
        assert!(scaling(|()| Err("no".into()), |()| Ok(1.0)).is_err());
        assert!(scaling(|()| Ok(1.0), |()| Err("no".into())).is_err());
    }

    #[test]
    fn orders_have_words_of_their_own() {
        assert!(matches!(Loop::named("views"), Some(Loop::Views)));
        assert!(matches!(Loop::named("plain"), Some(Loop::Plain)));
        assert!(Loop::named("").is_none());
    }
}
