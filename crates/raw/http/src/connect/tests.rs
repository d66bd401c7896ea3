use http::Request;
use towpath_testkit::within;

use super::*;

#[test]
fn the_name_of_a_peer_has_no_secrets_in_it() {
    let uri = Uri::from_static("http://user:password@peer:8080/mcp?token=secret");
    assert_eq!(&*label(&uri), "http://peer:8080/mcp");
}

#[tokio::test]
async fn an_address_that_cannot_be_reached_says_why() {
    let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default()).expect("a client");
    let mut cases = vec![("/mcp", "http://"), ("ftp://peer/", "http://")];
    if !cfg!(feature = "tls") {
        cases.push(("https://127.0.0.1:1/", "feature `tls`"));
    }
    for (uri, says) in cases {
        let (head, ()) = Request::get(uri).body(()).expect("a head").into_parts();
        let error = within(connect.exchange(head, Bytes::new())).await.expect_err("nobody is there");
        assert!(!error.was_sent() && error.to_string().contains(says), "{error}");
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn https_begins_with_a_handshake() {
    use tokio::io::AsyncReadExt;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let uri = format!("https://{}/", listener.local_addr().expect("an address"));
    let connect = HttpConnect::new(ConnectLimits::default(), ConnectTimeouts::default()).expect("a client");
    let (head, ()) = Request::post(uri).body(()).expect("a head").into_parts();
    let exchange = tokio::spawn(async move { connect.exchange(head, "{}".into()).await });
    let (mut stream, _) = within(listener.accept()).await.expect("a connection");
    // The type of a TLS record: handshake.
    assert_eq!(within(stream.read_u8()).await.expect("a byte"), 22);
    drop(stream);
    let error = within(exchange).await.expect("no panic").expect_err("that was no handshake");
    assert!(!error.was_sent(), "{error}");
}
