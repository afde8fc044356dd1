//! The decoder of `put` lines.

use super::LINE_BYTES_MAX;
use super::fault::Fault;
use super::point::{Labels, Points, Sample, Tags};
use super::value::{lossy, parse_time, parse_value};
use crate::bytes::{Line, LineCutter};
use crate::model::{Full, Intake, WriteResult};
use crate::wire::{Decode, Fed, FedState};

/// A decoder of `put metric timestamp value tag=v ...`, a line each, as the telnet port takes them. No tag is needed.
/// The errors of its [`WriteResult`] are what that port answers. What else it is asked (`version`, `help`, `exit`) is
/// no row, neither taken nor refused: see [`Lines::answers`] and [`Lines::is_over`].
///
/// ```
/// use tidegate::wire::opentsdb::Lines;
/// let _lines = Lines::new();
/// ```
#[derive(Debug)]
pub struct Lines {
    cutter: LineCutter,
    points: Points,
    key: Vec<u8>,
    answers: Vec<u8>,
    is_over: bool,
}

impl Lines {
    /// A decoder.
    pub fn new() -> Lines {
        Lines {
            cutter: LineCutter::new(LINE_BYTES_MAX),
            points: Points::default(),
            key: Vec::new(),
            answers: Vec::new(),
            is_over: false,
        }
    }

    /// Answers to what was asked beside puts, a line each, for whoever can give them; those that nobody takes are few.
    pub fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// Whether the peer has asked for the end of the connection. Lines behind that are taken like others.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    fn take<I: Intake>(&mut self, line: &[u8], intake: &mut I) -> Result<Result<(), Full>, Fault> {
        let mut words = Words(line);
        let command = words.next().unwrap_or_default();
        if command != b"put" {
            return Err(Fault::UnknownCommand(lossy(command)));
        }
        let (Some(metric), Some(time), Some(value)) = (words.next(), words.next(), words.next()) else {
            return Err(Fault::TooFewWords(Words(line).count() - 1));
        };
        let time_ns = parse_time(time)?;
        let (kind, word) = parse_value(value)?;
        let tags = words.0;
        self.key.clear();
        // The keys of elements start with a quote.
        self.key.push(b' ');
        self.key.extend_from_slice(metric);
        self.key.push(b' ');
        self.key.extend_from_slice(tags.trim_ascii());
        self.points.push(&self.key, Sample { time_ns, kind, word }, Put { metric, tags }, intake)
    }

    /// Answers a command that loses no row. `false`: it is none of these.
    fn converse(&mut self, command: &str, fault: &Fault) -> bool {
        let unknown;
        let answer = match command {
            "version" => VERSION,
            "help" => HELP,
            "exit" => {
                self.is_over = true;
                return true;
            }
            // They steer and watch an OpenTSDB. There is no such thing here, and nothing is lost.
            "stats" | "dropcaches" | "diediedie" => {
                unknown = fault.telnet();
                &unknown
            }
            _ => return false,
        };
        if self.answers.len() < ANSWERS_BYTES_MAX {
            self.answers.extend_from_slice(answer.as_bytes());
            self.answers.push(b'\n');
        }
        true
    }

    #[cold]
    fn reject(&mut self, line: &[u8], fault: &Fault, result: &mut WriteResult) {
        if let Fault::UnknownCommand(command) = fault
            && self.converse(command, fault)
        {
            return;
        }
        result.reject(self.cutter.number(), fault.reason(), line, || fault.telnet());
    }
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::new()
    }
}

/// The words of a line, apart by one or more spaces.
struct Words<'a>(&'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let spaces = self.0.iter().take_while(|&&byte| byte == b' ').count();
        let rest = &self.0[spaces..];
        let len = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(len);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

/// The metric and the tags of a line.
struct Put<'a> {
    metric: &'a [u8],
    tags: &'a [u8],
}

impl Tags for Put<'_> {
    fn read(&mut self, labels: &mut Labels<'_>) -> Result<(), Fault> {
        labels.metric(self.metric)?;
        Words(self.tags).try_for_each(|tag| {
            let mut parts = tag.split(|&byte| byte == b'=');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(name @ [_, ..]), Some(value @ [_, ..]), None) => labels.tag(name, value),
                _ => Err(Fault::Tag(lossy(tag))),
            }
        })
    }
}

impl Decode for Lines {
    fn rewind(&mut self) {
        self.cutter.reset();
        self.answers.clear();
        self.is_over = false;
    }

    /// Takes as many whole lines of `input` as it can. Faults are by line from 1; blank lines count. What was not
    /// consumed is never longer than [`LINE_BYTES_MAX`].
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        let mut at = 0;
        loop {
            let rest = &input[at..];
            let line = self.cutter.cut(rest, last);
            match line {
                Line::Whole(text) => {
                    let text = text.strip_suffix(b"\r").unwrap_or(text);
                    if !text.trim_ascii().is_empty() {
                        match self.take(text, intake) {
                            Ok(Ok(())) => {
                                result.accepted += 1;
                                result.samples += 1;
                            }
                            Ok(Err(Full)) => return Fed { consumed: at, state: FedState::Full },
                            Err(fault) => self.reject(text, &fault, result),
                        }
                    }
                }
                Line::TooLong(start) => self.reject(start, &Fault::TooLong, result),
                Line::Incomplete(0) => break,
                Line::Incomplete(_) => {}
            }
            at += self.cutter.pass(line, rest);
        }
        Fed { consumed: at, state: if last { FedState::Done } else { FedState::NeedMore } }
    }
}

/// OpenTSDB says here what was built when; whoever asks wants to know that somebody is there.
const VERSION: &str = concat!("tidegate ", env!("CARGO_PKG_VERSION"));

const HELP: &str = "available commands: put version help exit";

/// Of answers that nobody has taken yet; one more may reach over it.
const ANSWERS_BYTES_MAX: usize = 4 << 10;
