using FineTuneStudio.Ui;

namespace FineTuneStudio.BaseModels;

/// The one model hub that this server asks, and how much it takes from there: BaseModels:Hub. The address may also come from HF_ENDPOINT, as for other tools.
public sealed class HubSettings(IConfiguration configuration, StudioFolder folder)
{
    internal bool IsOpen => configuration.GetValue("BaseModels:Hub:Enabled", true);

    internal string Address => (configuration["BaseModels:Hub:Endpoint"] is { Length: > 0 } own ? own : configuration["HF_ENDPOINT"] is { Length: > 0 } usual ? usual : "https://huggingface.co").TrimEnd('/');

    internal long MostBytes => configuration.GetValue("BaseModels:Hub:MaxBytes", 16L << 30);

    /// What always stays free on the disk, for the database and the runs.
    internal long KeepFree => configuration.GetValue("BaseModels:Hub:KeepFree", 1L << 30);

    /// How long the hub may be silent in the middle of a file.
    internal TimeSpan Silence => TimeSpan.FromSeconds(configuration.GetValue("BaseModels:Hub:SilenceSeconds", 60.0));

    /// The wait before a cut download is tried again; it doubles from try to try.
    internal TimeSpan Pause => TimeSpan.FromSeconds(configuration.GetValue("BaseModels:Hub:PauseSeconds", 1.0));

    internal Uri Endpoint => Uri.TryCreate(Address, UriKind.Absolute, out var uri) && uri.Scheme is "https" or "http" && uri.UserInfo.Length == 0 && uri.Query.Length == 0 && uri.Fragment.Length == 0 ? uri
        : throw new ModelRefused($"The address of the model hub, “{Address}”, is not one: an administrator has to set BaseModels:Hub:Endpoint or HF_ENDPOINT to an address such as https://huggingface.co.");

    internal void RequireOpen()
    {
        if (!IsOpen) throw new HubInterrupted("Imports from a model hub are switched off on this server. An administrator can switch them on with BaseModels:Hub:Enabled.");
    }

    internal void RequireRoom(string model, long bytes)
    {
        var free = new DriveInfo(folder.Uploads).AvailableFreeSpace;
        if (bytes + KeepFree > free)
            throw new HubInterrupted($"“{model}” needs {Say.Bytes(bytes)} on the server's disk, where {Say.Bytes(free)} are free and {Say.Bytes(KeepFree)} must stay so. Free some space, or take a smaller model.");
    }
}
