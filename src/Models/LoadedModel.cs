using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Training;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Models;

/// The one model kept in memory: loading takes seconds, a text takes milliseconds. Playgrounds and files that are scored share it, one
/// caller at a time; a file is scored in small turns, so that a person who types a text waits for one turn only.
public sealed class LoadedModel(ILogger<LoadedModel> log) : IDisposable
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
                    Drop();
                    model = load(folder);
                    loaded = wanted;
                }
                return work((TModel)model!);
            }, cancel);
        }
        catch (Exception fault) when (fault is WeightFileException or TokenizerFileException)
        {
            log.LogError(fault, "A model could not be loaded");
            throw new ModelRefused($"The model cannot be loaded: {fault.Message}");
        }
        catch (Exception fault) when (OutOfMemory.Refused(fault))
        {
            log.LogError(fault, "There was not enough memory for a model");
            Drop();
            throw new ModelRefused("There is not enough memory on the server for this model and this text. Shorten the text or the longest answer, or try again when no run is training.");
        }
        finally { turn.Release(); }
    }

    private void Drop()
    {
        model?.Dispose();
        (model, loaded) = (null, null);
    }

    public void Dispose()
    {
        model?.Dispose();
        turn.Dispose();
    }
}
