//! Receivers of webhooks below HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What it sends to whoever connects.
#[derive(Clone, Debug)]
pub struct Wire {
    reads: bool,
    says: String,
    /// What it then says again and again; without it, it hangs up.
    drips: Option<String>,
}

impl Wire {
    /// Reads the request, says this and hangs up.
    pub fn says(text: &str) -> Self {
        Self { reads: true, says: text.to_owned(), drips: None }
    }

    /// Reads the request, and that is all.
    pub fn silent() -> Self {
        Self::says("").and_drips("")
    }

    /// Takes the connection, and that is all.
    pub fn deaf() -> Self {
        Self { reads: false, ..Self::silent() }
    }

    /// Then goes on with this, and never hangs up.
    pub fn and_drips(self, text: &str) -> Self {
        Self { drips: Some(text.to_owned()), ..self }
    }

    /// Waits for connections until the end of the test; its URL.
    pub async fn receive(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.clone().serve(stream));
            }
        });
        url
    }

    /// Whoever it talks to may hang up at any time.
    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        if self.reads {
            let _ = stream.read(&mut [0; 8192]).await?;
        }
        stream.write_all(self.says.as_bytes()).await?;
        while let Some(drop) = &self.drips {
            stream.write_all(drop.as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
