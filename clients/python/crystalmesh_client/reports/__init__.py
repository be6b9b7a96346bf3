"""Reports on campaigns: one HTML file that opens anywhere, without network and without scripts."""

from crystalmesh_client.reports.campaign_report import campaign_report, write_report

__all__ = ["campaign_report", "write_report"]
