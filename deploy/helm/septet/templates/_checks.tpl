{{/* What the schema cannot see: values that do not go together end the install with a sentence. */}}

{{- define "septet.check" -}}
{{- with .Values -}}
{{- if eq .mode "cluster" -}}
{{- if not .links.url -}}
{{- fail "links.url is missing: where links are kept, scylla://host:9042,host:9042/keyspace (or set mode to embedded)" -}}
{{- end -}}
{{- if not .kafka.url -}}
{{- fail "kafka.url is missing: where clicks wait, kafka://host:9092,host:9092/topic (or set mode to embedded)" -}}
{{- end -}}
{{- if and .tokenService.enabled (not (or .secrets.database.existingSecret .secrets.database.value)) -}}
{{- fail "secrets.database is missing: existingSecret names a Secret with the URL of the token service's database, mysql://user:password@host:3306/database" -}}
{{- end -}}
{{- if not (or .tokenService.enabled .tokenService.url) -}}
{{- fail "tokenService.url is missing: with tokenService.enabled=false it names the token services to use" -}}
{{- end -}}
{{- if not (or .analytics.enabled .analytics.url) -}}
{{- fail "analytics.url is missing: with analytics.enabled=false it names the analytics services to use" -}}
{{- end -}}
{{- if and (not .tokenService.enabled) (not (or .secrets.tokenServiceSecret.existingSecret .secrets.tokenServiceSecret.value)) -}}
{{- fail "secrets.tokenServiceSecret is missing: the token services that tokenService.url names know their instances by it" -}}
{{- end -}}
{{- if and (not .analytics.enabled) (not (or .secrets.analyticsSecret.existingSecret .secrets.analyticsSecret.value)) -}}
{{- fail "secrets.analyticsSecret is missing: the analytics services that analytics.url names know who asks by it" -}}
{{- end -}}
{{- if not .rollups.url -}}
{{- range $name, $isSet := dict "rollups.datacenter" .rollups.datacenter "rollups.tlsCa" (or .rollups.tlsCa.configMap .rollups.tlsCa.secret) "secrets.rollupsPassword" (or .secrets.rollupsPassword.existingSecret .secrets.rollupsPassword.value) -}}
{{- if $isSet -}}
{{- fail (printf "%s is without effect, as rollups.url is missing: without it, clicks are counted where links are, with all that links is told" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (int .shortener.autoscaling.minReplicas) (int .shortener.autoscaling.maxReplicas) -}}
{{- fail "shortener.autoscaling.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if gt (int .analytics.keda.minReplicas) (int .analytics.keda.maxReplicas) -}}
{{- fail "analytics.keda.minReplicas is above maxReplicas" -}}
{{- end -}}
{{- if and .shortener.autoscaling.enabled (not (dig "requests" "cpu" "" .shortener.resources)) -}}
{{- fail "shortener.resources.requests.cpu is missing: autoscaling measures by it" -}}
{{- end -}}
{{- end -}}
{{- if and (eq (include "septet.publicHost" $) "localhost") (or (and .ingress.enabled (not .ingress.hosts)) (and .gateway.enabled (not .gateway.hostnames))) -}}
{{- fail "publicUrl is missing: scheme and domain of short links, and the host of ingress and gateway" -}}
{{- end -}}
{{- if and .gateway.enabled (not .gateway.parentRefs) -}}
{{- fail "gateway.parentRefs is missing: the Gateway that the routes belong to" -}}
{{- end -}}
{{- range $name, $ca := dict "links.tlsCa" .links.tlsCa "rollups.tlsCa" .rollups.tlsCa -}}
{{- if and $ca.configMap $ca.secret -}}
{{- fail (printf "%s names a ConfigMap and a Secret: one of them is enough" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $secret := .secrets -}}
{{- if and $secret.existingSecret $secret.value -}}
{{- fail (printf "secrets.%s has an existingSecret and a value: one of them is enough" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
