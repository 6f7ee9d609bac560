# Pool, automation and deployments on the server of PREFECT_API_URL; again and again does no harm.
set -eu
prefect work-pool inspect bakeoff > /dev/null 2>&1 || prefect work-pool create bakeoff --type process
prefect automation inspect "Crash runs that went silent" > /dev/null 2>&1 \
  || prefect automation create --from-file stack/automations.yaml
prefect --no-prompt deploy --all
