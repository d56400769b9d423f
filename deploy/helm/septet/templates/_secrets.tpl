{{/* Secrets: where each is, and how it becomes a file. */}}

{{/* The file that a secret of `secrets` becomes. */}}
{{- define "septet.secretFile" -}}
{{- get (dict "apiKey" "api-key" "tokenServiceSecret" "token-service-secret" "analyticsSecret" "analytics-secret" "database" "database-url"
  "linksPassword" "links-password" "rollupsPassword" "rollups-password" "kafkaProperties" "kafka.properties") . -}}
{{- end -}}

{{/* Whether a secret is made where none is given. */}}
{{- define "septet.secretIsMade" -}}
{{- if has . (list "apiKey" "tokenServiceSecret" "analyticsSecret") }}true{{ end -}}
{{- end -}}

{{/* Whether there is one: (list $ "apiKey"). */}}
{{- define "septet.secretIsThere" -}}
{{- $secret := get (index . 0).Values.secrets (index . 1) -}}
{{- if or $secret.existingSecret $secret.value (include "septet.secretIsMade" (index . 1)) }}true{{ end -}}
{{- end -}}

{{/* The source of a projected volume that brings a secret as its file: (list $ "apiKey" NAME), where NAME is the Secret with values that were given or made. */}}
{{- define "septet.secretSource" -}}
{{- if include "septet.secretIsThere" . -}}
{{- $secret := get (index . 0).Values.secrets (index . 1) -}}
{{- $file := include "septet.secretFile" (index . 1) -}}
- secret:
    name: {{ default (index . 2) $secret.existingSecret }}
    items: [{key: {{ empty $secret.existingSecret | ternary $file $secret.key }}, path: {{ $file }}}]
{{ end -}}
{{- end -}}

{{/* The same of a CA: (list $ "links"). */}}
{{- define "septet.caSource" -}}
{{- $ca := (get (index . 0).Values (index . 1)).tlsCa -}}
{{- if or $ca.configMap $ca.secret -}}
- {{ empty $ca.configMap | ternary "secret" "configMap" }}:
    name: {{ default $ca.secret $ca.configMap }}
    items: [{key: {{ $ca.key }}, path: {{ index . 1 }}-ca.crt}]
{{ end -}}
{{- end -}}

{{/* The same of the Kafka client's files. */}}
{{- define "septet.kafkaSources" -}}
{{- range .Values.kafka.files -}}
- secret:
    name: {{ .secret }}
    items: [{key: {{ .key }}, path: kafka/{{ .path }}}]
{{ end -}}
{{- end -}}

{{/* All files of a component: (list $ "shortener" NAME IS_MIGRATION), NAME as above. A migration needs none that is made. */}}
{{- define "septet.fileSources" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $secrets := list "apiKey" -}}
{{- $store := "" -}}
{{- if eq $root.Values.mode "cluster" -}}
{{- if eq $component "shortener" -}}
{{- $store = "links" -}}
{{- $secrets = list "apiKey" "tokenServiceSecret" "analyticsSecret" -}}
{{- else if eq $component "token-service" -}}
{{- $secrets = list "tokenServiceSecret" "database" -}}
{{- else if eq $component "analytics" -}}
{{- $store = include "septet.rollups" $root -}}
{{- $secrets = list "analyticsSecret" -}}
{{- end -}}
{{- end -}}
{{- if $store -}}
{{- $secrets = concat $secrets (list (printf "%sPassword" $store) "kafkaProperties") -}}
{{- include "septet.caSource" (list $root $store) -}}
{{- include "septet.kafkaSources" $root -}}
{{- end -}}
{{- range $secrets -}}
{{- if not (and (index $ 3) (include "septet.secretIsMade" .)) -}}
{{- include "septet.secretSource" (list $root . (index $ 2)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
