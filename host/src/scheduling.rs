//! How the kernel gives processors to the threads of the host: those that serve come before those that compute
//! for long, and the one that moves messages does not take a processor from anybody.

use std::sync::Once;

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

/// From now on the calling thread does not take a processor from whoever has one when it is woken, but waits for one
/// that is free or the end of a turn: `SCHED_BATCH`, sched(7). A turn is a few milliseconds; where more threads want
/// the processor all the time, it may take several. Threads and processes that it starts from then on do so as well.
///
/// On a machine that is busy with both, a broker would otherwise be interrupted by each message that it hands to
/// the thread, which then finds only this one. So it finds what the broker had for it altogether.
///
/// What an operator has set for the process, such as a policy for real time, stays.
pub fn preempt_nobody() {
    // The only one there is without real time.
    let parameter = libc::sched_param { sched_priority: 0 };
    #[expect(unsafe_code, reason = "no maintained crate has these calls alone")]
    // SAFETY: 0 is the calling thread, and the kernel only reads the parameter, which lives until it has.
    let is_refused = unsafe {
        libc::sched_getscheduler(0) == libc::SCHED_OTHER
            && libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter) != 0
    };
    if is_refused {
        let reason = std::io::Error::last_os_error();
        // Threads for what blocks come and go.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            info!("A broker on this machine is interrupted by each of its messages: {reason}");
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_that_preempts_nobody_is_alone_with_that() {
        // Where proc_pid_stat(5) has it.
        let policy = || {
            let stat = fs::read_to_string("/proc/thread-self/stat").expect("Linux");
            let after_name = stat.rsplit_once(") ").expect("a name").1;
            let policy = after_name.split(' ').nth(38).expect("a policy").to_owned();
            policy.parse::<i32>().expect("a number")
        };
        let there = move || {
            preempt_nobody();
            policy()
        };
        let its_own = thread::spawn(there).join().expect("no panic");
        assert_eq!(its_own, libc::SCHED_BATCH);
        assert_eq!(policy(), libc::SCHED_OTHER);
    }
}
