"""What is measured, in Python: an agent's report is read and answered in a few words."""


def report(agent_state, time):
    state = agent_state["agent_state"]
    return {
        "agent": "%s (%s)" % (state["agent_type"], state["binary"]),
        "host": state["host"],
        "configurations": len(state["configurations"]),
        "status": "new" if state.get("start_flag") else "alive",
        "sent_at": time,
    }


def length(payload):
    return len(payload)
