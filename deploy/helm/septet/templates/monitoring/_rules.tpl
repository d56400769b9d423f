{{/* The rules of files/septet.rules.yaml, as this release is to have them. */}}

{{/* Alerts on components that are not here, as a JSON list: they would miss in this namespace what serves in another one. */}}
{{- define "septet.alertsLeftOut" -}}
{{- $names := list -}}
{{- if eq .Values.mode "cluster" -}}
{{- if not .Values.tokenService.enabled -}}
{{- $names = append $names "SeptetTokenServiceDown" -}}
{{- end -}}
{{- if not .Values.analytics.enabled -}}
{{- $names = append $names "SeptetCountingStopped" -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{- define "septet.ruleGroups" -}}
{{- $leftOut := include "septet.alertsLeftOut" . | fromJsonArray -}}
{{- $pages := .Values.prometheusRule.runbookBaseUrl | trimSuffix "/" -}}
{{- $file := .Files.Get "files/septet.rules.yaml" | fromYaml -}}
{{- $groups := list -}}
{{- range $group := required "files/septet.rules.yaml has no groups in the chart" $file.groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- if not (has ($rule.alert | default "") $leftOut) -}}
{{- if and $rule.alert $pages -}}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s/%s" $pages (base $rule.annotations.runbook_url)) -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- $groups = append $groups (set $group "rules" $rules) -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}
