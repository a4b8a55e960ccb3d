namespace FineTuneStudio.Models;

/// The one model kept in memory: loading takes seconds, a text takes milliseconds. One caller at a time; a file is scored
/// in small turns, so that a person who types a text waits for one turn only.
public sealed class LoadedModel : IDisposable
{
    private readonly SemaphoreSlim turn = new(1, 1);
    private IDisposable? model;
    private (string Folder, DateTime Written)? loaded;

    internal async Task<T> Use<TModel, T>(string folder, Func<string, TModel> load, Func<TModel, T> work, CancellationToken cancel) where TModel : class, IDisposable
    {
        await turn.WaitAsync(cancel);
        try
        {
            return await Task.Run(() =>
            {
                var wanted = (folder, File.GetLastWriteTimeUtc(Path.Combine(folder, "model.safetensors")));
                if (loaded != wanted || model is not TModel)
                {
                    model?.Dispose();
                    (model, loaded) = (null, null);
                    model = load(folder);
                    loaded = wanted;
                }
                return work((TModel)model!);
            }, cancel);
        }
        finally { turn.Release(); }
    }

    public void Dispose()
    {
        model?.Dispose();
        turn.Dispose();
    }
}
