//! What a transaction gathers before it commits.

use std::{
    pin::Pin,
    sync::mpsc::{Receiver, Sender, channel},
};

use super::*;
use crate::sqlite::{error::DbError, job};

type Written = Pin<Box<dyn Future<Output = Result<usize, DbError>>>>;

/// A writer to a database in memory that stops whenever it gives way, until it hears from the
/// sender; when that is gone, it never stops again.
fn writer() -> (Writer, Sender<()>, Receiver<()>) {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE written(number INTEGER)").unwrap();
    let ((go_on, may_go_on), (stopped, has_stopped)) = (channel(), channel());
    let give_way = move || {
        let _: Result<_, _> = stopped.send(());
        let _: Result<_, _> = may_go_on.recv();
    };
    let place = Arc::new(Place::of(std::path::Path::new("/nowhere")));
    (Writer::giving_way(connection, place, 4096, false, give_way).unwrap(), go_on, has_stopped)
}

/// Queues the write of one row.
fn submit(writer: &Writer) -> Written {
    submit_job(writer, insert)
}

fn submit_job(
    writer: &Writer,
    work: impl Fn(&Connection) -> Result<usize, DbError> + Send + 'static,
) -> Written {
    let (job, result) = job::new(work);
    writer.submit(job).unwrap();
    Box::pin(result)
}

/// Queues two writes, so that they are sure to share a transaction.
fn submit_two(writer: &Writer) -> Vec<Written> {
    let (both_wait, wait) = channel::<()>();
    let first = submit_job(writer, move |connection| {
        let _: Result<_, _> = wait.recv();
        insert(connection)
    });
    let second = submit(writer);
    drop(both_wait);
    vec![first, second]
}

fn insert(connection: &Connection) -> Result<usize, DbError> {
    Ok(connection.execute("INSERT INTO written VALUES (1)", [])?)
}

#[tokio::test]
async fn who_comes_while_a_transaction_gives_way_shares_it() {
    let (writer, go_on, has_stopped) = writer();
    let mut results = submit_two(&writer);
    for number in [3, 2] {
        has_stopped.recv().unwrap();
        assert_eq!(writer.statistics(), Statistics::default(), "nothing is committed yet");
        results.extend((0..number).map(|_| submit(&writer)));
        go_on.send(()).unwrap();
    }
    drop(go_on);
    for result in results {
        assert_eq!(result.await.unwrap(), 1);
    }
    assert_eq!(writer.statistics(), Statistics { commits: 1, failures: 0, writes: 7 });
}

#[tokio::test]
async fn a_lone_write_gives_way_only_after_one_that_was_not() {
    let (writer, go_on, has_stopped) = writer();
    drop(go_on);
    submit(&writer).await.unwrap();
    assert!(has_stopped.try_recv().is_err());
    for result in submit_two(&writer) {
        result.await.unwrap();
    }
    submit(&writer).await.unwrap();
    submit(&writer).await.unwrap();
    assert_eq!(writer.statistics(), Statistics { commits: 4, failures: 0, writes: 5 });
    drop(writer);
    assert_eq!(has_stopped.iter().count(), 2);
}

#[tokio::test]
async fn newcomers_do_not_put_the_commit_off_for_ever() {
    let (writer, go_on, has_stopped) = writer();
    let mut results = submit_two(&writer);
    for _ in 0..MAX_PAUSES {
        has_stopped.recv().unwrap();
        results.push(submit(&writer));
        go_on.send(()).unwrap();
    }
    // It has not given way once more: that would wait for ever.
    for result in results {
        result.await.unwrap();
    }
    let writes = 2 + MAX_PAUSES as u64;
    assert_eq!(writer.statistics(), Statistics { commits: 1, failures: 0, writes });
}
