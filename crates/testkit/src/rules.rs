//! What the suites of rules have in common.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};

/// Runs `attempts` calls of `attempt` at once and returns what each of them returned. None begins
/// before all are there.
pub(crate) async fn at_once<F>(attempts: u64, attempt: impl Fn(u64) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (mut tasks, all) =
        (JoinSet::new(), Arc::new(Barrier::new(usize::try_from(attempts).unwrap())));
    for number in 0..attempts {
        let (attempt, all) = (attempt(number), all.clone());
        tasks.spawn(async move {
            all.wait().await;
            attempt.await
        });
    }
    tasks.join_all().await
}

/// Sees that every rule in the files of `folder` stands in a line of `list`.
#[cfg(test)]
pub(crate) fn assert_listed(list: &str, folder: &str) {
    let listed = |rule: &str| list.lines().any(|line| line.trim() == rule);
    let mut rules = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if let Some(rule) = line.strip_prefix("pub async fn ") {
                let rule = rule.split('(').next().unwrap();
                assert!(listed(rule), "{rule} of {} is not listed", path.display());
                rules += 1;
            }
        }
    }
    assert_ne!(rules, 0, "{folder}");
}
