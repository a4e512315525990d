//! How the kernel gives processors to the threads of the host: those that serve come before those that compute
//! for long, and those that move messages do not interrupt anybody.

use rustix::process::setpriority_process;
use tracing::{info, warn};

use crate::hand_over;

/// Of 19, the lowest. It leaves a thread some hundredths of a core that others want as well.
pub const PATIENT: i32 = 15;
/// It leaves a thread a quarter of such a core.
pub const COMPILING: i32 = 5;

/// Gives the calling thread a priority that is lower by as much. What others wait for is left to them then.
pub fn lower_priority(niceness: i32) {
    hand_over::leave_to_others();
    // Linux sets the priority of a thread, where POSIX has that of the process.
    if let Err(reason) = setpriority_process(None, niceness) {
        warn!("Long computations have the same priority as all others: {reason}");
    }
}

/// When the calling thread is woken, it waits from now on for a processor that is free, or until whoever has one
/// has had its turn: some milliseconds at most (`SCHED_BATCH`, sched(7)).
///
/// On a machine that is busy with both, a broker would otherwise be interrupted by each message that it hands to
/// the thread, which then finds only this one. So it finds what the broker had for it altogether.
pub fn wait_for_turns() {
    // All policies that are not for real time have this one.
    let parameter = libc::sched_param { sched_priority: 0 };
    #[expect(
        unsafe_code,
        reason = "no crate that is kept has this call without another one that changes the priority as well"
    )]
    // SAFETY: the kernel reads the parameter, which lives until it has; 0 is the calling thread.
    let outcome = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter) };
    if outcome != 0 {
        let reason = std::io::Error::last_os_error();
        info!("Threads that move messages interrupt others, which costs throughput: {reason}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_waits_for_turns_does_so_alone() {
        // The number that it has there, see proc_pid_stat(5).
        let policy = || {
            let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux");
            let after_name = stat.rsplit_once(") ").expect("a name").1;
            let policy = after_name.split(' ').nth(38).expect("a policy").to_owned();
            policy.parse::<i32>().expect("a number")
        };
        let there = move || {
            wait_for_turns();
            policy()
        };
        assert_eq!(
            thread::spawn(there).join().expect("no panic"),
            libc::SCHED_BATCH
        );
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
