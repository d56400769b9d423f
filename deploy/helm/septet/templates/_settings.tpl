{{/* The settings of each binary, as the SEPTET_ variables of its flags. */}}

{{/* Where the files of Secrets and CAs are. */}}
{{- define "septet.filesDir" -}}
/etc/septet
{{- end -}}

{{/* A variable, unless its value is the binary's own default: (list "SEPTET_LOG" .log). */}}
{{- define "septet.setting" -}}
{{- $value := index . 1 -}}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (empty $value))) }}
{{- if not (kindIs "string" $value) -}}
{{- $value = eq (float64 $value) (float64 (int64 $value)) | ternary (int64 $value | toString) (toString $value) -}}
{{- end }}
{{ index . 0 }}: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* A variable that names a file, if the file is there: (list $ "SEPTET_API_KEY_FILE" "apiKey"). */}}
{{- define "septet.fileSetting" -}}
{{- if include "septet.secretIsThere" (list (index . 0) (index . 2)) }}
{{ index . 1 }}: {{ include "septet.filesDir" . }}/{{ include "septet.secretFile" (index . 2) }}
{{- end }}
{{- end -}}

{{/* What all binaries are told: (list $ "shortener" .Values.shortener). */}}
{{- define "septet.commonSettings" -}}
{{- $root := index . 0 -}}
{{- $address := $root.Values.listenAddress -}}
{{- if contains ":" $address -}}
{{- $address = printf "[%s]" $address -}}
{{- end -}}
SEPTET_LISTEN: {{ printf "%s:%s" $address (include "septet.port" (index . 1)) | quote }}
SEPTET_OPS_LISTEN: {{ printf "%s:%s" $address (include "septet.opsPort" (index . 1)) | quote }}
SEPTET_DRAIN_WAIT_MS: {{ include "septet.drainWaitMs" $root | quote }}
SEPTET_STOP_TIMEOUT_MS: {{ include "septet.stopPartMs" $root | quote }}
{{- with (index . 2).settings }}
{{- include "septet.setting" (list "SEPTET_KEEP_ALIVE_S" .keepAliveS) }}
{{- include "septet.setting" (list "SEPTET_LOG" .log) }}
{{- include "septet.setting" (list "SEPTET_LOG_FORMAT" .logFormat) }}
{{- end }}
{{- include "septet.setting" (list "SEPTET_OTLP_ENDPOINT" $root.Values.tracing.otlpEndpoint) }}
{{- if $root.Values.tracing.otlpEndpoint }}
{{- include "septet.setting" (list "SEPTET_TRACES_RATIO" $root.Values.tracing.ratio) }}
{{- end }}
{{- end -}}

{{/* How many workers there are, unless the number of CPUs says so. */}}
{{- define "septet.workersFromResources" -}}
{{- if not .Values.shortener.settings.workers -}}
{{- if dig "limits" "cpu" "" .Values.shortener.resources -}}
limits.cpu
{{- else if dig "requests" "cpu" "" .Values.shortener.resources -}}
requests.cpu
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "septet.settings.shortener" -}}
{{- $root := . -}}
{{ include "septet.commonSettings" (list . "shortener" .Values.shortener) }}
SEPTET_DATA_DIR: /data
{{- include "septet.setting" (list "SEPTET_PUBLIC_URL" .Values.publicUrl) }}
{{- include "septet.setting" (list "SEPTET_ROOT_URL" .Values.rootUrl) }}
{{- include "septet.setting" (list "SEPTET_TRUSTED_PROXIES" (join "," .Values.trustedProxies)) }}
{{- include "septet.setting" (list "SEPTET_COUNTRY_HEADER" .Values.countryHeader) }}
{{- with .Values.shortener }}
{{- include "septet.setting" (list "SEPTET_WORKERS" .settings.workers) }}
{{- include "septet.setting" (list "SEPTET_CACHE_TTL_MS" .settings.cacheTtlMs) }}
{{- include "septet.setting" (list "SEPTET_CACHE_MAX_BYTES" (include "septet.cacheMaxBytes" .)) }}
{{- if .geoip.volume }}
SEPTET_GEOIP_DB: /geoip/{{ .geoip.file }}
{{- end }}
{{- end }}
SEPTET_CLICK_LOG_MAX_BYTES: {{ include "septet.clickLogMaxBytes" . | quote }}
{{- include "septet.fileSetting" (list . "SEPTET_API_KEY_FILE" "apiKey") }}
{{- if eq .Values.mode "cluster" }}
{{ include "septet.settings.links" . }}
{{ include "septet.settings.kafka" . }}
{{ include "septet.settings.services" . }}
{{- include "septet.fileSetting" (list . "SEPTET_TOKEN_SERVICE_SECRET_FILE" "tokenServiceSecret") }}
{{- include "septet.fileSetting" (list . "SEPTET_ANALYTICS_SECRET_FILE" "analyticsSecret") }}
{{- end }}
{{- end -}}

{{- define "septet.leasesUrl" -}}
{{- if .Values.tokenService.enabled -}}
http://{{ include "septet.fullname" . }}-token-service:{{ include "septet.port" "token-service" }}
{{- else -}}
{{ .Values.tokenService.url }}
{{- end -}}
{{- end -}}

{{- define "septet.analyticsUrl" -}}
{{- if .Values.analytics.enabled -}}
http://{{ include "septet.fullname" . }}-analytics:{{ include "septet.port" "analytics" }}
{{- else -}}
{{ .Values.analytics.url }}
{{- end -}}
{{- end -}}

{{/* Where the shorteners' services are. */}}
{{- define "septet.settings.services" -}}
SEPTET_LEASES: {{ include "septet.leasesUrl" . | quote }}
SEPTET_ANALYTICS: {{ include "septet.analyticsUrl" . | quote }}
SEPTET_CHANGES_TOPIC: {{ .Values.kafka.changesTopic | quote }}
{{- end -}}

{{- define "septet.settings.links" -}}
{{- with .Values.links -}}
SEPTET_LINKS: {{ .url | quote }}
{{- include "septet.setting" (list "SEPTET_LINKS_DATACENTER" .datacenter) }}
{{- include "septet.setting" (list "SEPTET_LINKS_TIMEOUT_MS" .timeoutMs) }}
{{- if or .tlsCa.configMap .tlsCa.secret }}
SEPTET_LINKS_TLS_CA: {{ include "septet.filesDir" $ }}/links-ca.crt
{{- end }}
{{- end }}
{{- include "septet.fileSetting" (list . "SEPTET_LINKS_PASSWORD_FILE" "linksPassword") }}
{{- end -}}

{{- define "septet.settings.kafka" -}}
SEPTET_CLICKS: {{ .Values.kafka.url | quote }}
{{- include "septet.fileSetting" (list . "SEPTET_KAFKA_PROPERTIES" "kafkaProperties") }}
{{- end -}}

{{- define "septet.settings.token-service" -}}
{{ include "septet.commonSettings" (list . "token-service" .Values.tokenService) }}
{{- include "septet.settings.database" . }}
{{- include "septet.fileSetting" (list . "SEPTET_TOKEN_SERVICE_SECRET_FILE" "tokenServiceSecret") }}
{{- with .Values.tokenService.settings }}
{{- include "septet.setting" (list "SEPTET_WORKERS" .workers) }}
{{- include "septet.setting" (list "SEPTET_LEASE_TTL_MS" .leaseTtlMs) }}
{{- include "septet.setting" (list "SEPTET_UNUSED_BLOCKS_MAX" .unusedBlocksMax) }}
{{- include "septet.setting" (list "SEPTET_DATABASE_CONNECTIONS_MAX" .databaseConnectionsMax) }}
{{- include "septet.setting" (list "SEPTET_DATABASE_TIMEOUT_MS" .databaseTimeoutMs) }}
{{- end }}
{{- end -}}

{{- define "septet.settings.database" -}}
{{- include "septet.fileSetting" (list . "SEPTET_DATABASE_FILE" "database") }}
{{- end -}}

{{- define "septet.settings.analytics" -}}
{{ include "septet.commonSettings" (list . "analytics" .Values.analytics) }}
{{ include "septet.settings.kafka" . }}
{{ include "septet.settings.rollups" . }}
{{- include "septet.fileSetting" (list . "SEPTET_ANALYTICS_SECRET_FILE" "analyticsSecret") }}
{{- with .Values.analytics }}
{{- include "septet.setting" (list "SEPTET_ROLLUP_CACHE_MAX_BYTES" (include "septet.cacheMaxBytes" .)) }}
{{- with .settings }}
{{- include "septet.setting" (list "SEPTET_GROUP" .group) }}
{{- include "septet.setting" (list "SEPTET_DAYS_KEPT" .daysKept) }}
{{- include "septet.setting" (list "SEPTET_DETAIL_DAYS_KEPT" .detailDaysKept) }}
{{- include "septet.setting" (list "SEPTET_VISITORS_DAYS_KEPT" .visitorsDaysKept) }}
{{- include "septet.setting" (list "SEPTET_COMMIT_INTERVAL_MS" .commitIntervalMs) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Those of rollups, or else those of links. */}}
{{- define "septet.rollups" -}}
{{- empty .Values.rollups.url | ternary "links" "rollups" -}}
{{- end -}}

{{- define "septet.settings.rollups" -}}
{{- with index .Values (include "septet.rollups" .) -}}
SEPTET_ROLLUPS: {{ .url | quote }}
{{- include "septet.setting" (list "SEPTET_ROLLUPS_DATACENTER" .datacenter) }}
{{- if or .tlsCa.configMap .tlsCa.secret }}
SEPTET_ROLLUPS_TLS_CA: {{ include "septet.filesDir" $ }}/{{ include "septet.rollups" $ }}-ca.crt
{{- end }}
{{- end }}
{{- include "septet.setting" (list "SEPTET_ROLLUPS_TIMEOUT_MS" .Values.rollups.timeoutMs) }}
{{- include "septet.fileSetting" (list . "SEPTET_ROLLUPS_PASSWORD_FILE" (printf "%sPassword" (include "septet.rollups" .))) }}
{{- end -}}

{{/* What `migrate` of a component's binary is told: (list $ "shortener"). */}}
{{- define "septet.settings.migrate" -}}
{{- $root := index . 0 -}}
{{- if eq (index . 1) "token-service" -}}
{{ include "septet.settings.database" $root | trim }}
{{- else }}
{{- if eq (index . 1) "shortener" -}}
{{ include "septet.settings.links" $root }}
{{ include "septet.settings.services" $root }}
{{- else -}}
{{ include "septet.settings.rollups" $root }}
{{- end }}
{{ include "septet.settings.kafka" $root }}
{{ include "septet.settings.making" $root }}
{{- end }}
{{- end -}}

{{/* What counts when something is made. */}}
{{- define "septet.settings.making" -}}
{{- with .Values.migrations -}}
SEPTET_REPLICATION_FACTOR: {{ .replicationFactor | quote }}
SEPTET_PARTITIONS: {{ .partitions | quote }}
{{- include "septet.setting" (list "SEPTET_CLICKS_RETENTION_MS" .clicksRetentionMs) }}
{{- end }}
{{- end -}}
