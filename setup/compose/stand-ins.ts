/** As docker-compose.yml has them: a test compares. */
export const temporalVersion = 'v1.29.1';
export const uiVersion = 'v2.42.1';

/** Each variable of docker-compose.yml that names an image, and what stands for it. */
export const standIns: Readonly<Record<string, string>> = {
  NODE_IMAGE: 'ferry-lane/node',
  POSTGRES_IMAGE: 'ferry-lane/postgres',
  TEMPORAL_IMAGE: 'ferry-lane/temporal',
  TEMPORAL_TOOLS_IMAGE: 'ferry-lane/temporal',
  TEMPORAL_UI_IMAGE: 'ferry-lane/temporal-ui',
  PROMETHEUS_IMAGE: 'ferry-lane/prometheus',
  ALERTMANAGER_IMAGE: 'ferry-lane/alertmanager',
  GRAFANA_IMAGE: 'ferry-lane/grafana',
};
