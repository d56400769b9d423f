{{/* Names and labels. */}}

{{- define "septet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: "-shortener-xxxxxxxxxx-xxxxx" and the like are added, and 63 is Kubernetes' limit. */}}
{{- define "septet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "septet.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "septet.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The components that serve here, as a JSON list of their names and values. */}}
{{- define "septet.components" -}}
{{- $components := list (dict "name" "shortener" "values" .Values.shortener) -}}
{{- if eq .Values.mode "cluster" -}}
{{- if .Values.tokenService.enabled -}}
{{- $components = append $components (dict "name" "token-service" "values" .Values.tokenService) -}}
{{- end -}}
{{- if .Values.analytics.enabled -}}
{{- $components = append $components (dict "name" "analytics" "values" .Values.analytics) -}}
{{- end -}}
{{- end -}}
{{- toJson $components -}}
{{- end -}}

{{/* What selects the pods of a component: (list $ "shortener"). Never changes, as Kubernetes refuses that. */}}
{{- define "septet.selector" -}}
app.kubernetes.io/name: {{ include "septet.name" (index . 0) }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* What every object of a component is labelled with: (list $ "shortener"). */}}
{{- define "septet.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "septet.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: septet
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The same for its pods, without the versions: a new chart alone replaces no pod. */}}
{{- define "septet.podLabels" -}}
{{ include "septet.selector" . }}
app.kubernetes.io/part-of: septet
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The port that a component serves on; that of /livez, /readyz and /metrics is a thousand above. */}}
{{- define "septet.port" -}}
{{- get (dict "shortener" 8080 "token-service" 8081 "analytics" 8082) . -}}
{{- end -}}
{{- define "septet.opsPort" -}}
{{- add 1000 (include "septet.port" . | int) -}}
{{- end -}}

{{- define "septet.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The account of a component's pods: (list $ "shortener" .Values.shortener). */}}
{{- define "septet.serviceAccountName" -}}
{{- $account := (index . 2).serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- printf "%s-%s" (include "septet.fullname" (index . 0)) (index . 1) -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The host of publicUrl. */}}
{{- define "septet.publicHost" -}}
{{- get (urlParse .Values.publicUrl) "host" | splitList ":" | first -}}
{{- end -}}
