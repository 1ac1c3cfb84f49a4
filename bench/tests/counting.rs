//! The bench's own servers and load generator, in this process.

use portcullis_bench::{
    counts,
    echo::echo,
    error::Result,
    load::{Fleet, Until},
    pass::pass,
    peer::Peer,
    serve::listen,
    target::{Era, Target},
};

/// An echo server and a pass-through in front of it.
async fn servers(era: Era) -> Result<(Target, Target)> {
    let (listener, address) = listen(0).await?;
    tokio::spawn(echo(listener, None));
    let direct = Target::new(address, "/mcp", era);
    let (listener, address) = listen(0).await?;
    tokio::spawn(pass(listener, direct.clone()));
    Ok((direct, Target::new(address, "/mcp/echo", era)))
}

#[tokio::test]
async fn every_call_through_the_pass_is_one_request_upstream_in_both_eras() {
    for era in [Era::Old, Era::New] {
        let (direct, through) = servers(era).await.unwrap();
        let mut fleet = Fleet::open(&through, 4).await.unwrap();
        let before = counts::read(&direct).await.unwrap();
        let block = fleet.run(Until::Calls(200)).await.unwrap();
        let after = counts::read(&direct).await.unwrap();
        assert_eq!(block.calls(), 200);
        assert_eq!(after["tools/call"] - before["tools/call"], 200);
        assert_eq!(counts::total(&after) - counts::total(&before), 200);
    }
}

#[tokio::test]
async fn opening_a_session_costs_what_its_era_asks() {
    let (direct, through) = servers(Era::Old).await.unwrap();
    let session = Peer::connect(&through).await.unwrap().open().await.unwrap();
    assert!(session.is_some());
    let seen = counts::read(&direct).await.unwrap();
    assert_eq!((seen["initialize"], seen["notifications/initialized"], counts::total(&seen)), (1, 1, 2));

    let (direct, through) = servers(Era::New).await.unwrap();
    let session = Peer::connect(&through).await.unwrap().open().await.unwrap();
    assert!(session.is_none());
    let seen = counts::read(&direct).await.unwrap();
    assert_eq!((seen["server/discover"], counts::total(&seen)), (1, 1));
}

#[tokio::test]
async fn an_answer_without_the_message_is_a_failure_not_a_call() {
    let (direct, _) = servers(Era::Old).await.unwrap();
    let mut peer = Peer::connect(&direct).await.unwrap();
    // Without a session the echo server refuses.
    let refusal = peer.call(&None, 1, "hello").await.unwrap_err().to_string();
    assert!(refusal.contains("expected the message that was sent"), "{refusal}");
    let session = peer.open().await.unwrap();
    peer.list(&session).await.unwrap();
    peer.call(&session, 2, "hello").await.unwrap();
}
