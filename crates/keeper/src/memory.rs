//! What a process that stays need not keep in memory.

use std::fs;

/// Lets go of the program's own code: a start runs through most of it once, and the kernel maps what lies around as
/// well. What is needed again comes back from the file, some pages at a time. Where the system says nothing of its
/// mappings, nothing happens.
#[allow(unsafe_code, reason = "the safe interface has no advice on mappings that it did not make")]
pub fn let_go_of_the_start() {
    let Ok(own) = fs::read_link("/proc/self/exe") else { return };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    // Fields: addresses, permissions, offset, device, inode, path (man 5 proc).
    let code = maps.lines().filter(|line| {
        line.split_whitespace().nth(1) == Some("r-xp") && line.ends_with(&*own.to_string_lossy())
    });
    for line in code {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((begin, end)) = range.and_then(|(begin, end)| Some((address(begin)?, address(end)?))) else {
            continue;
        };
        let place = std::ptr::with_exposed_provenance_mut(begin);
        // SAFETY: the kernel has just named this mapping as the code of the running program. It is mapped from the file
        // and cannot be written, so nothing in it differs from the file, from which the kernel reads again whatever is
        // touched next (`man 2 madvise`, MADV_DONTNEED on a file mapping).
        let _ = unsafe { rustix::mm::madvise(place, end - begin, rustix::mm::Advice::LinuxDontNeed) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_go_comes_back_when_it_is_needed() {
        let resident = || {
            let statm = fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        };
        let before = resident();
        let_go_of_the_start();
        let after = resident();
        assert!(after < before, "{after} of {before} pages");
        assert!(!fs::read_to_string("/proc/self/comm").unwrap().is_empty());
    }
}
