"""What of neutron-server takes agents' reports: an unmodified AgentExtRpcCallback on a new SQLite file.

Usage: neutron_server.py TRANSPORT_URL HOST [AGENT_DOWN_TIME]. Serves q-reports-plugin as neutron-server does;
says {"ready": true} when it consumes, and ends when its standard input does.
"""

import json
import sys
import tempfile

from neutron.common import config as common_config
from neutron.conf.agent import common as agent_config
from neutron.db import agents_db
from neutron.db.models import agent as agent_model
from neutron_lib import rpc as lib_rpc
from neutron_lib.db import api as db_api
from oslo_config import cfg

TOPIC = "q-reports-plugin"


class Plugin(agents_db.AgentDbMixin):
    pass


def main():
    url, host = sys.argv[1:3]
    common_config.register_common_config_options()
    agent_config.register_agent_state_opts_helper(cfg.CONF)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/neutron.conf"
        with open(path, "w") as file:
            file.write(f"[DEFAULT]\ntransport_url = {url}\nhost = {host}\n")
            if sys.argv[3:]:
                file.write(f"agent_down_time = {sys.argv[3]}\n")
            file.write(f"[database]\nconnection = sqlite:///{folder}/neutron.db\n")
        cfg.CONF(["--config-file", path], project="neutron")
        lib_rpc.init(cfg.CONF)
        engine = db_api.get_writer_session().get_bind()
        agent_model.Agent.__table__.create(engine)
        connection = lib_rpc.Connection()
        connection.create_consumer(TOPIC, [agents_db.AgentExtRpcCallback(Plugin())], fanout=False)
        connection.consume_in_threads()
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.read()
        connection.close()


if __name__ == "__main__":
    main()
