//! Kills the daemon at every named point, on every way that leads there, starts it again, and checks what was answered
//! (promises: survives-kill, no-leak, monotonic).

#![allow(clippy::unwrap_used, reason = "a helper of tests says by panicking that one has failed")]

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use payload_manager::failpoint::POINTS;
use payload_manager_api::core::v1::Tier::{Disk, Ram};
use payload_manager_tests::crash::script::RAM;
use payload_manager_tests::crash::{Do, Meter, Scene, Witness, audit};
use payload_manager_tests::{Daemon, Setup};

use Do::{
    Allocate, Another, Append, Commit, Delete, Fleeting, Force, Labelled, LabelledStrict, Lease, Promote, Release,
    Spill, SpillFar, Strict,
};

const ALLOCATING: [Scene; 3] = [
    Scene {
        name: "allocating in RAM",
        before: &[],
        act: &[Allocate(Ram)],
        points: &["allocate-reserved", "allocate-made"],
    },
    Scene {
        name: "allocating in RAM with labels",
        before: &[],
        act: &[Labelled(Ram)],
        points: &["allocate-reserved", "allocate-row-written", "allocate-made"],
    },
    Scene {
        name: "allocating on DISK",
        before: &[],
        act: &[Allocate(Disk)],
        points: &["allocate-reserved", "allocate-row-written", "allocate-made"],
    },
];

const COMMITTING: [Scene; 6] = [
    Scene {
        name: "committing in RAM",
        before: &[Allocate(Ram)],
        act: &[Commit],
        points: &["commit-sealed", "commit-done"],
    },
    Scene {
        name: "committing in RAM with labels",
        before: &[Labelled(Ram)],
        act: &[Commit],
        points: &["commit-sealed", "commit-row-written", "commit-done"],
    },
    Scene {
        name: "committing on DISK",
        before: &[Allocate(Disk)],
        act: &[Commit],
        points: &["commit-sealed", "commit-row-written", "commit-done"],
    },
    Scene {
        name: "committing STRICT in RAM",
        before: &[Strict(Ram)],
        act: &[Commit],
        points: &["commit-copied", "commit-sealed", "commit-done"],
    },
    Scene {
        name: "committing STRICT in RAM with labels",
        before: &[LabelledStrict],
        act: &[Commit],
        points: &["commit-copied", "commit-sealed", "commit-row-written", "commit-done"],
    },
    Scene {
        name: "committing STRICT on DISK",
        before: &[Strict(Disk)],
        act: &[Commit],
        points: &["commit-copied", "commit-sealed", "commit-row-written", "commit-done"],
    },
];

const MOVING: [Scene; 6] = [
    Scene {
        name: "spilling",
        before: &[Allocate(Ram), Commit],
        act: &[Spill],
        points: &["transfer-copied", "transfer-finished", "transfer-row-written", "before-free"],
    },
    Scene {
        name: "spilling under a lease",
        before: &[Labelled(Ram), Commit, Lease],
        act: &[Spill],
        points: &["transfer-copied", "transfer-finished", "transfer-row-written"],
    },
    Scene {
        name: "spilling what is on DISK already",
        before: &[Allocate(Ram), Commit, Spill, Promote],
        act: &[Spill],
        points: &["before-free"],
    },
    Scene {
        name: "promoting",
        before: &[Allocate(Disk), Commit, Append],
        act: &[Promote],
        points: &["transfer-copied", "transfer-finished"],
    },
    Scene {
        name: "promoting what a lease keeps on DISK",
        before: &[Allocate(Ram), Commit, Spill, Lease],
        act: &[Promote],
        points: &["transfer-copied", "transfer-finished"],
    },
    Scene {
        name: "giving back the lease on a copy that was dropped",
        before: &[Allocate(Ram), Commit, Lease, Spill],
        act: &[Release],
        points: &["before-free"],
    },
];

const DELETING: [Scene; 7] = [
    Scene {
        name: "deleting an allocation",
        before: &[Allocate(Ram)],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free"],
    },
    Scene {
        name: "deleting an allocation on DISK",
        before: &[Allocate(Disk)],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free"],
    },
    Scene {
        name: "deleting from RAM",
        before: &[Allocate(Ram), Commit],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free"],
    },
    Scene {
        name: "deleting from DISK",
        before: &[Labelled(Disk), Commit],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free"],
    },
    Scene {
        name: "deleting from RAM and DISK",
        before: &[Allocate(Disk), Commit, Promote],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free", "before-free:2"],
    },
    Scene {
        name: "deleting by force under a lease in RAM",
        before: &[Allocate(Ram), Commit, Lease],
        act: &[Force],
        points: &["delete-buried", "delete-row-gone"],
    },
    Scene {
        name: "deleting by force under a lease on DISK",
        before: &[Allocate(Disk), Commit, Lease],
        act: &[Force],
        points: &["delete-buried", "delete-row-gone"],
    },
];

const FAR: [Scene; 6] = [
    Scene {
        name: "spilling to OBJECT",
        before: &[Allocate(Ram), Commit],
        act: &[SpillFar],
        points: &["transfer-intended", "transfer-copied", "transfer-finished", "transfer-row-written", "before-free"],
    },
    Scene {
        name: "spilling from DISK to OBJECT",
        before: &[Labelled(Disk), Commit],
        act: &[SpillFar],
        points: &["transfer-intended", "transfer-copied", "transfer-finished", "transfer-row-written", "before-free"],
    },
    Scene {
        name: "spilling from DISK to OBJECT under a lease",
        before: &[Allocate(Disk), Commit, Lease],
        act: &[SpillFar],
        points: &["transfer-copied", "transfer-finished", "transfer-row-written"],
    },
    Scene {
        name: "promoting from OBJECT",
        before: &[Allocate(Ram), Commit, SpillFar],
        act: &[Promote],
        points: &["transfer-copied", "transfer-finished"],
    },
    Scene {
        name: "deleting from OBJECT",
        before: &[Allocate(Ram), Commit, SpillFar],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free"],
    },
    Scene {
        name: "deleting from RAM and OBJECT",
        before: &[Allocate(Ram), Commit, SpillFar, Promote],
        act: &[Delete],
        points: &["delete-buried", "delete-row-gone", "before-free", "before-free:2"],
    },
];

const EVICTING: [Scene; 2] = [
    Scene {
        name: "evicting to DISK",
        before: &[Allocate(Ram), Commit],
        act: &[Another],
        points: &["transfer-copied", "transfer-finished", "transfer-row-written", "before-free", "allocate-made"],
    },
    Scene {
        name: "evicting to nowhere",
        before: &[Fleeting, Commit],
        act: &[Another],
        points: &["delete-row-gone", "before-free", "allocate-made"],
    },
];

/// Points of a start. Each scene's remains are started on at each of them, too.
const STARTING: [&str; 3] = ["start-pages-open", "start-recovered", "start-written"];

#[tokio::test(flavor = "multi_thread")]
async fn an_allocation_survives_kill_or_never_was() {
    run(&ALLOCATING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_survives_kill_or_was_never_answered() {
    run(&COMMITTING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_between_tiers_survives_kill_with_a_readable_copy() {
    run(&MOVING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_survives_kill_and_leaks_nothing() {
    run(&DELETING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_survives_kill_and_loses_nothing() {
    run(&EVICTING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_an_object_store_survives_kill_with_a_readable_copy() {
    run(&FAR).await;
}

#[test]
fn every_point_is_on_some_way() {
    let scenes = ALLOCATING.iter().chain(&COMMITTING).chain(&MOVING).chain(&DELETING).chain(&EVICTING).chain(&FAR);
    let reached = scenes.flat_map(|scene| scene.points).chain(&STARTING);
    let reached: Vec<&str> = reached.map(|point| point.split(':').next().unwrap()).collect();
    let missed: Vec<&&str> = POINTS.iter().filter(|point| !reached.contains(point)).collect();
    assert!(missed.is_empty(), "no scene goes through {missed:?}");
}

async fn run(scenes: &[Scene]) {
    if !cfg!(debug_assertions) {
        return payload_manager_tests::skip(
            "crash_points",
            "a build with debug assertions, which alone has the points",
        );
    }
    for scene in scenes {
        for point in scene.points {
            println!("{}, killed at {point}", scene.name);
            die_at(scene, point).await;
        }
    }
}

async fn die_at(scene: &Scene, point: &str) {
    let mut daemon = Setup::new().flag("ram", RAM).flag("disk", "16MiB").with_object_folder().start();
    let mut witness = Witness::new("log", 1, Arc::new(Meter::default()));
    witness.meet(daemon.rpc().await);
    witness.play(scene.before).await.unwrap();

    daemon.change(|setup| setup.failpoint(point));
    // In order, so that what is before leaves nothing to be freed at the start, which would die of that.
    assert!(daemon.stop().success());
    daemon.start_again();
    witness.meet(daemon.rpc().await);
    // What is answered before the daemon dies must hold as well.
    let _ = witness.play(scene.act).await;
    assert_eq!(daemon.wait().signal(), Some(9), "{point} was not reached");

    for start in STARTING {
        daemon.change(|setup| setup.failpoint(start));
        let refused = daemon.try_start_again().expect_err("the start does not go through that point");
        assert_eq!(refused.code, None, "{start}: {}", refused.log);
    }
    daemon.change(|setup| setup.failpoint(""));
    daemon.start_again();
    witness.meet(daemon.rpc().await);
    audit(&daemon, &mut [&mut witness]).await;
    goes_on(&mut daemon, &mut witness).await;
}

/// What is left works: all of it can be deleted, and then nothing is there.
async fn goes_on(daemon: &mut Daemon, witness: &mut Witness) {
    witness.clear().await.unwrap();
    audit(daemon, &mut [&mut *witness]).await;
    let stats = daemon.rpc().await.stats().await.unwrap();
    let left = [stats.payloads_ram, stats.payloads_disk, stats.payloads_object, stats.backlog_blocks];
    assert_eq!(left, [0; 4], "{stats:?}");
}
