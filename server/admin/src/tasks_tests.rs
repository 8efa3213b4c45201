use tokio::sync::oneshot;

use super::*;

async fn ended(board: &TaskBoard, id: &TaskId) -> TaskProgress {
    for _ in 0..10_000 {
        let progress = board.progress(id).unwrap();
        if progress.state != TaskState::Running {
            return progress;
        }
        tokio::task::yield_now().await;
    }
    panic!("the task never ended");
}

#[tokio::test]
async fn one_task_of_a_kind_runs_at_a_time() {
    let board = TaskBoard::default();
    let (finish, finished) = oneshot::channel::<()>();
    let first = board.start(TaskKind::Heal, |meter| async move {
        meter.set_total(3);
        finished.await.map_err(|e| e.to_string())?;
        meter.set_done(3);
        Ok(())
    });
    let again = board.start(TaskKind::Heal, |_| async { panic!("must not run") });
    assert_eq!(first, again);
    let scrub = board.start(TaskKind::Scrub, |_| async { Ok(()) });
    assert_ne!(first, scrub);
    finish.send(()).unwrap();
    let progress = ended(&board, &first).await;
    assert_eq!((progress.state, progress.done, progress.total), (TaskState::Done, 3, 3));
    let next = board.start(TaskKind::Heal, |_| async { Ok(()) });
    assert_ne!(first, next);
}

#[tokio::test]
async fn failures_and_panics_end_a_task() {
    let board = TaskBoard::default();
    let failed = board.start(TaskKind::Scrub, |_| async { Err("why".to_owned()) });
    assert_eq!(ended(&board, &failed).await.state, TaskState::Failed("why".to_owned()));
    let panicked = board.start(TaskKind::Scrub, |_| async { panic!("bug") });
    assert!(matches!(ended(&board, &panicked).await.state, TaskState::Failed(_)));
}

#[tokio::test]
async fn memory_is_bounded() {
    let board = TaskBoard::default();
    let first = board.start(TaskKind::Scrub, |meter| async move {
        for n in 0..1000 {
            meter.add_finding(n);
        }
        Ok(())
    });
    let progress = ended(&board, &first).await;
    assert_eq!((progress.findings, progress.finding_details.len()), (1000, MAX_DETAILS));
    for _ in 0..MAX_TASKS {
        let id = board.start(TaskKind::Heal, |_| async { Ok(()) });
        ended(&board, &id).await;
    }
    assert!(board.progress(&first).is_err());
    assert_eq!(board.entries.lock().len(), MAX_TASKS);
}
