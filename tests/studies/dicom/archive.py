"""An archive of a test or a benchmark alone: Orthanc with its DICOMweb plug-in, on loopback."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
THERE = shutil.which("Orthanc") is not None and PLUGIN.is_file()
"""True where it is installed, as Debian's packages orthanc and orthanc-dicomweb do."""
TRIES, WAIT_SECONDS = 150, 0.2


@contextmanager
def archive(folder):
    """Start an archive that keeps its files in a folder, and give its address; it ends with the block."""
    import requests

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "StorageDirectory": str(folder / "pacs"),
        "IndexDirectory": str(folder / "pacs"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(TRIES):
            try:
                if requests.get(f"{url}/system", timeout=2).ok:
                    break
            except requests.ConnectionError:
                time.sleep(WAIT_SECONDS)
        yield f"{url}/dicom-web"
    finally:
        process.terminate()
        process.wait(20)
