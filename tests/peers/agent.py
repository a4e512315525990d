"""An agent as neutron knows it: an unmodified PluginReportStateAPI, told what to do.

Usage: agent.py TRANSPORT_URL. Reads one JSON object a line, {"do": NAME, ...}, and answers each
with one line: {"result": ...} or {"raised": CLASS, "module": MODULE, "message": TEXT, ...}.
"""

import sys
import tempfile

from neutron.agent import rpc as agent_rpc
from neutron.common import config as common_config
from neutron.conf.agent import common as agent_config
from neutron_lib import context
from neutron_lib import rpc as lib_rpc
from oslo_config import cfg

from peer import serve

TOPIC = "q-reports-plugin"


def main():
    # neutron registers its options on the global configuration, and newer releases of
    # oslo.messaging read theirs there too.
    common_config.register_common_config_options()
    agent_config.register_agent_state_opts_helper(cfg.CONF)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(f"[DEFAULT]\ntransport_url = {sys.argv[1]}\n")
        file.flush()
        cfg.CONF(["--config-file", file.name], project="neutron")
        lib_rpc.init(cfg.CONF)
    api = agent_rpc.PluginReportStateAPI(TOPIC)
    admin = context.get_admin_context_without_session()

    def report_state(agent_state, use_call=True):
        return api.report_state(admin, agent_state, use_call=use_call)

    def report_at(agent_state, time):
        """A report with a time of the test's choice, through the same client."""
        client = api.client.prepare(timeout=30)
        return client.call(admin, "report_state",
                           agent_state={"agent_state": agent_state}, time=time)

    serve({
        "report_state": report_state,
        "report_at": report_at,
        "has_alive_neutron_server": lambda: api.has_alive_neutron_server(admin),
        "get_agents": lambda **filters: api.get_agents(admin, **filters),
        "delete_agent": lambda **kwargs: api.delete_agent(admin, **kwargs),
    })


if __name__ == "__main__":
    main()
