//! What a client does when the daemon goes, and comes back: as it was, or without its memory.

use payload_manager_client::{DataPath, Reason};

use super::{by_call, connected, filled, until};

#[tokio::test]
async fn views_outlive_a_restart_and_the_next_call_works() {
    let (session, fake, client) = connected().await;
    let (id, next) = (filled(&client, b"hello").await, filled(&client, b"next").await);
    let view = client.read(id).await.unwrap();
    session.restart();
    assert_eq!((&*view, view.is_valid()), (&b"hello"[..], true));
    session.wait_for("attach", 1);
    until(|| session.asked("hang-up") == 1).await;
    let other = loop {
        let other = client.read(next).await.unwrap();
        if by_call(&fake) == 0 {
            break other;
        }
        // It was read by a call while the session was not back yet.
        other.release().await.unwrap();
    };
    assert_eq!((&*other, client.path().await), (&b"next"[..], DataPath::Session));
    assert_eq!((session.live(), session.asked("hello"), view.is_valid()), (2, 1, true));
    view.renew().await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_forgot_the_session_gives_another_and_old_views_are_over() {
    let (session, fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    session.state(|state| state.forgetful = true);
    session.restart();
    session.wait_for("hello", 2);
    until(|| !view.is_valid()).await;
    assert_eq!(&*view, b"hello");
    assert_eq!(view.renew().await.unwrap_err().reason(), Some(Reason::LeaseOver));
    let new = loop {
        let new = client.read(id).await.unwrap();
        if by_call(&fake) == 0 {
            break new;
        }
        new.release().await.unwrap();
    };
    assert!(new.is_valid() && !view.is_valid() && !std::ptr::eq(&*new, &*view));
    drop((view, new));
    assert_eq!(session.pinning(), 0, "a slot of the old page is given back too");
}

#[tokio::test]
async fn a_client_that_is_gone_does_not_come_back_but_for_its_views() {
    let (session, _fake, client) = connected().await;
    let id = filled(&client, b"hello").await;
    let view = client.read(id).await.unwrap();
    drop(client);
    session.restart();
    session.wait_for("attach", 1);
    assert!(view.is_valid());
    drop(view);
    session.wait_for("bye", 1);
    session.wait_for("hang-up", 2);
    assert_eq!((session.asked("hello"), session.pinning()), (1, 0));
}
