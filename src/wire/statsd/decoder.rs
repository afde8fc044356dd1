//! The decoder: lines in, samples to the aggregates, faults by line.

use std::fmt::Display;

use super::aggregates::Aggregates;
use super::fault::Fault;
use super::packets::{Framing, HEADER_BYTES, packet_bytes};
use super::sample::Parser;
use super::{LINE_BYTES_MAX, notice};
use crate::bytes::{Line, LineCutter};
use crate::model::WriteResult;
use crate::wire::{Fed, FedState};

/// Where a stream of lines stands: all that differs between the streams of one listener.
#[derive(Debug)]
pub struct Decoder {
    cutter: LineCutter,
    framing: Framing,
}

/// What the lines of a feed have to do with.
pub struct Feed<'a> {
    /// Reads lines.
    pub parser: &'a mut Parser,
    /// Takes what is read.
    pub aggregates: &'a mut Aggregates,
    /// The source of events that name none; may be empty. Printed only for those.
    pub sender: &'a dyn Display,
    /// The time of events that have none.
    pub now_ns: i64,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { cutter: LineCutter::new(LINE_BYTES_MAX), framing: Framing::Lines }
    }
}

impl Decoder {
    /// For a stream that may be lines, or DogStatsD's packets: its first bytes say which.
    pub fn of_either() -> Decoder {
        Decoder { framing: Framing::Unknown, ..Decoder::default() }
    }

    /// Whether the stream is no use any more: it said a length that cannot be one, and where the next packet begins
    /// nobody knows.
    pub fn is_lost(&self) -> bool {
        self.framing == Framing::Lost
    }

    /// Takes as many whole lines of `input` as it can; `last` says that no more bytes come. What was not consumed is
    /// never longer than [`LINE_BYTES_MAX`]. Never says that there is no room: rows are written by
    /// [`Aggregates::write`], and whoever feeds sees to it that they are.
    pub fn feed(&mut self, input: &[u8], last: bool, to: &mut Feed<'_>, result: &mut WriteResult) -> Fed {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            match self.framing {
                Framing::Lines => {
                    at += self.feed_lines(rest, last, to, result);
                    break;
                }
                Framing::Packet { bytes_left: 0 } | Framing::Unknown => {
                    let is_new = self.framing == Framing::Unknown;
                    self.framing = match rest.first_chunk::<HEADER_BYTES>().map(packet_bytes) {
                        Some(Some(bytes_left)) => {
                            at += HEADER_BYTES;
                            self.cutter.reset();
                            Framing::Packet { bytes_left }
                        }
                        None if !last || !is_new => break,
                        _ if is_new => Framing::Lines,
                        _ => {
                            self.reject(&rest[..HEADER_BYTES], &Fault::OutOfStep, result);
                            Framing::Lost
                        }
                    };
                }
                Framing::Packet { bytes_left } => {
                    let here = &rest[..rest.len().min(bytes_left)];
                    let used = self.feed_lines(here, last || here.len() == bytes_left, to, result);
                    at += used;
                    self.framing = Framing::Packet { bytes_left: bytes_left - used };
                    if used < bytes_left {
                        break;
                    }
                }
                Framing::Lost => {
                    at = input.len();
                    break;
                }
            }
        }
        // At the end all is used: a length that was cut off says nothing.
        Fed {
            consumed: if last { input.len() } else { at },
            state: if last { FedState::Done } else { FedState::NeedMore },
        }
    }

    /// Takes the whole lines of `input`; `last` says that it ends with one. Gives how many bytes they are.
    fn feed_lines(&mut self, input: &[u8], last: bool, to: &mut Feed<'_>, result: &mut WriteResult) -> usize {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let line = self.cutter.cut(rest, last);
            match line {
                Line::Whole(text) => self.take(text.trim_ascii(), to, result),
                Line::TooLong(start) => self.reject(start, &Fault::TooLong, result),
                Line::Incomplete(0) => return at,
                Line::Incomplete(_) => {}
            }
            at += self.cutter.pass(line, rest);
        }
    }

    fn take(&self, line: &[u8], to: &mut Feed<'_>, result: &mut WriteResult) {
        if line.is_empty() {
            return;
        }
        let Feed { parser, aggregates, sender, now_ns } = to;
        if aggregates.take_known(line) {
            return;
        }
        if notice::is_notice(line) {
            let taken = notice::read(line, *sender, &mut parser.labels, |n| aggregates.notice(n, *now_ns));
            if let Err(fault) = taken {
                self.reject(line, &fault, result);
            }
            return;
        }
        let (mut samples, mut only) = (0, None);
        parser.read(line, &mut |sample| {
            samples += 1;
            let repeat = sample.as_ref().ok().and_then(|sample| sample.repeat);
            match sample.and_then(|sample| aggregates.take(sample)) {
                Ok(entry) => only = entry.zip(repeat),
                Err(fault) => self.reject(line, &fault, result),
            }
        });
        if samples == 1
            && let Some((entry, repeat)) = only
        {
            aggregates.remember(line, entry, repeat);
        }
    }

    fn reject(&self, line: &[u8], fault: &Fault, result: &mut WriteResult) {
        result.reject(self.cutter.number(), fault.reason(), line, || fault.to_string());
    }
}
