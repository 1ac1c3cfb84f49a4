//! Stopping a task: its server is asked, and then asked how it stands until that is final. No design of tasks
//! guarantees that work ends; what the answer rests on is the server's word.

use super::look::{Looked, keep, look, lost, tell_to_stop};
use super::task::{State, Task};
use crate::gate::Gate;
use futures_util::future::join_all;
use portcullis_ledger::now_ms;
use portcullis_runs::Verdict;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a server may take to end a task that is given up.
const GIVEN_UP: Duration = Duration::from_secs(2);
/// The first and the longest time between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What stopping a task came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStopped {
    /// In one word: never `stopped`, because it runs in someone else's server.
    pub verdict: Verdict,
    /// The state that its server reported last.
    pub state: State,
    /// Whether its server has taken the request.
    pub told: bool,
    /// Why it could not be asked, where it could not.
    pub why: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Gate {
    /// Stops a task, and waits for its final state no longer than `patience`. One that cannot be reached is told as soon as
    /// it can.
    pub async fn stop_task(self: &Arc<Self>, task: &Arc<Task>, by: &str, patience: Duration) -> TaskStopped {
        let began = Instant::now();
        let ended = |verdict, why| {
            let told = task.stop().is_some_and(|stop| stop.told);
            TaskStopped { verdict, state: task.state(), told, why, took: began.elapsed() }
        };
        if task.state().is_final() {
            return ended(Verdict::AlreadyEnded, None);
        }
        task.want_stopped(by, now_ms());
        if let Some(ours) = task.ours() {
            ours.run.stop_by_operator("its task was stopped");
            task.told_to_stop();
        }
        let mut pause = LOOKS.0;
        let mut why = None;
        let looking = async {
            loop {
                let mut looked = Looked::Heard;
                if task.stop().is_some_and(|stop| !stop.told) {
                    looked = tell_to_stop(self, task).await;
                }
                if looked == Looked::Heard && !task.state().is_final() {
                    looked = look(self, task).await;
                }
                if task.state().is_final() {
                    return;
                }
                why = match looked {
                    Looked::Unreached(said) => Some(said),
                    Looked::Heard | Looked::Unknown => None,
                };
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOKS.1);
            }
        };
        let _ = tokio::time::timeout(patience, looking).await;
        if task.state().is_final() {
            return ended(Verdict::Acknowledged, None);
        }
        let told = task.stop().is_some_and(|stop| stop.told);
        let (verdict, said) = match (told, &why) {
            (true, None) => (Verdict::Unconfirmed, "no final state came in time".to_owned()),
            (_, why) => {
                (Verdict::Unreachable, why.clone().unwrap_or_else(|| "its server does not answer".into()))
            }
        };
        let row = task.record(&format!("the {by} asked to stop the task {}: {said}", task.id));
        keep(self, task, Some(row)).await;
        ended(verdict, why.or((verdict == Verdict::Unreachable).then_some(said)))
    }

    /// Stops the tasks that nobody may look after any more, side by side. What does not end is lost, and says why.
    pub async fn give_up_tasks(self: &Arc<Self>, of: impl Fn(&Task) -> bool, why: &str) {
        let given_up = self.tasks.live().into_iter().filter(|task| of(task));
        let stops = given_up.map(|task| async move {
            self.stop_task(&task, "operator", GIVEN_UP).await;
            // One that has ended by now stays as it is.
            if !task.state().is_final() {
                lost(self, &task, why).await;
            }
        });
        join_all(stops).await;
    }

    /// A task has ended with its server, which is proved.
    pub async fn end_task(self: &Arc<Self>, task: &Arc<Task>, why: &str) {
        lost(self, task, why).await;
    }
}
