//! Bytes that nobody would send: cut, doubled, flipped, and with something tricky in between.

use fastrand::Rng;

/// How often something is repeated.
const RUN_MAX: usize = 300;
/// Bytes that are moved at once.
const PART_BYTES_MAX: usize = 80;

/// One of them.
pub fn pick<'a, T>(all: &'a [T], random: &mut Rng) -> &'a T {
    &all[random.usize(..all.len())]
}

/// One change, anywhere.
pub fn change(input: &mut Vec<u8>, tricky: &[&[u8]], random: &mut Rng) {
    let at = random.usize(..=input.len());
    let part = at..input.len().min(at + random.usize(..PART_BYTES_MAX));
    match random.u8(..10) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => drop(input.drain(part)),
        3 if random.u8(..4) == 0 => input.truncate(at),
        4 => {
            let copy = input[part].to_vec();
            let to = random.usize(..=input.len());
            input.splice(to..to, copy);
        }
        5 if random.u8(..4) == 0 => {
            let unit = pick(tricky, random).repeat(random.usize(..RUN_MAX));
            input.splice(at..at, unit);
        }
        6 => {
            // In place of something that was there.
            let other = *pick(tricky, random);
            let found = input.windows(other.len().max(1)).position(|window| window == other);
            let start = found.unwrap_or(at);
            let end = input.len().min(start + other.len());
            input.splice(start..end, pick(tricky, random).iter().copied());
        }
        7 => {
            // At the end of a line, where it matters most.
            let ends: Vec<usize> =
                (0..input.len()).filter(|at| matches!(input[*at], b'\r' | b'\n' | b':')).collect();
            let at = if ends.is_empty() { at } else { *pick(&ends, random) + random.usize(..2) };
            input.splice(at..at, pick(tricky, random).iter().copied());
        }
        _ => {
            input.splice(at..at, pick(tricky, random).iter().copied());
        }
    }
}
