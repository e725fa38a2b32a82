"""The settings, read once from the environment and .env; what they hold elsewhere is read by whom they are given."""

from trading_playbook.config.cloud import for_cloud as for_cloud
from trading_playbook.config.cloud import on_cloud_run as on_cloud_run
from trading_playbook.config.cloud import require_lasting as require_lasting
from trading_playbook.config.env_file import unknown_settings as unknown_settings
from trading_playbook.config.loading import load_settings as load_settings
from trading_playbook.config.settings import ENV_FILE as ENV_FILE
from trading_playbook.config.settings import WRITERS as WRITERS
from trading_playbook.config.settings import Settings as Settings
from trading_playbook.config.settings import with_cache_at as with_cache_at
