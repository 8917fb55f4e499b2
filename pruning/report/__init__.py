"""Pictures and tables of scores and selections, as one HTML file."""

from pruning.report.auc import auc as auc
from pruning.report.options import Options as Options
from pruning.report.page import build_report as build_report
