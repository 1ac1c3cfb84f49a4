//! The socket to the gate.

use portcullis_keeper::{Order, Report, Start};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;

use crate::hold::News;

/// Bytes of one message at most: the environment and the arguments of a command.
const MESSAGE: u64 = 4 << 20;

/// The keeper's end.
pub(crate) struct Control {
    out: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Control {
    /// Takes the socket from where the gate put it, and leaves nothing there that a child could get.
    pub(crate) fn take() -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3)?;
        let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stderr(&nowhere)?;
        let out = UnixStream::from(own);
        Ok(Self { lines: BufReader::new(out.try_clone()?), out })
    }

    /// The first message.
    pub(crate) fn start(&mut self) -> io::Result<Start> {
        let line = line(&mut self.lines)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Tells the gate. Nobody may be there any more; what is to be done does not depend on it.
    pub(crate) fn tell(&mut self, report: &Report) {
        if let Ok(mut text) = serde_json::to_vec(report) {
            text.push(b'\n');
            let _ = self.out.write_all(&text);
        }
    }

    /// Passes on what comes from the gate, until it is gone.
    pub(crate) fn listen(&self, news: Sender<News>) -> io::Result<()> {
        let mut lines = BufReader::new(self.out.try_clone()?);
        std::thread::Builder::new().name("control".into()).spawn(move || {
            while let Ok(Some(line)) = line(&mut lines) {
                let Ok(Order::Stop(stop)) = serde_json::from_str(&line) else { break };
                if news.send(News::Stop(stop)).is_err() {
                    return;
                }
            }
            let _ = news.send(News::GateLost);
        })?;
        Ok(())
    }
}

fn line(lines: &mut BufReader<UnixStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = lines.take(MESSAGE).read_line(&mut line)?;
    Ok((read > 0 && line.ends_with('\n')).then_some(line))
}
